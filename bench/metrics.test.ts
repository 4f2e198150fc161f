import { describe, expect, it } from '@jest/globals';
import { cpuBetween, etcdBetween, serverBetween } from './cpu.js';
import { parseMetrics, quantileBetween, sumOf } from './metrics.js';

const text = (counts: readonly number[]): string => `# HELP x something
x_bucket{le="0.001"} ${counts[0]}
x_bucket{le="0.01"} ${counts[1]}
x_bucket{le="+Inf"} ${counts[2]}
x_count ${counts[2]}
apiserver_request_total{verb="get",resource="a b"} 3
apiserver_request_total{verb="list",resource="nodes"} 4
apiserver_request_total_other 100
`;

describe('what servers say of themselves', () => {
  it('is read by name and labels', () => {
    const metrics = parseMetrics(text([1, 2, 3]));
    expect(metrics.get('apiserver_request_total{verb="get",resource="a b"}')).toBe(3);
    expect(sumOf(metrics, 'apiserver_request_total')).toBe(7);
  });

  it('gives the quantiles of what came in between', () => {
    const [before, after] = [parseMetrics(text([100, 100, 100])), parseMetrics(text([150, 198, 200]))];
    expect(quantileBetween(before, after, 'x', 0.5)).toBe(0.001);
    expect(quantileBetween(before, after, 'x', 0.98)).toBe(0.01);
    expect(quantileBetween(before, after, 'x', 0.99)).toBe(Infinity);
    expect(quantileBetween(after, after, 'x', 0.99)).toBeUndefined();
  });

  it('becomes details of a measurement', () => {
    const before = parseMetrics('apiserver_request_total{verb="a"} 5\ntaskplane_store_commit_writes_sum 10\ntaskplane_store_commit_writes_count 5\n');
    const after = parseMetrics('apiserver_request_total{verb="a"} 9\napiserver_request_total{verb="b"} 1\ntaskplane_store_commit_writes_sum 110\ntaskplane_store_commit_writes_count 7\nnodejs_gc_duration_seconds_sum{kind="minor"} 0.25\ntaskplane_event_loop_delay_seconds{quantile="0.99"} 0.0101\ntaskplane_event_loop_delay_seconds{quantile="1"} 0.05\n');
    expect(serverBetween(before, after)).toEqual({ requests: 5, storeWrites: 100, storeCommits: 2, gcApiserver: 0.25, loopDelayP99Ms: 10.1, loopDelayMaxMs: 50 });
    expect(etcdBetween(parseMetrics('etcd_server_proposals_committed_total 4\n'), parseMetrics('etcd_server_proposals_committed_total 6\n'))).toEqual({ etcdProposals: 2, etcdFsyncs: 0 });
  });

  it('adds the processor time of all processes of a role, those that came meanwhile, too', () => {
    const process = (name: string, seconds: number, childSeconds = 0): { name: string; seconds: number; childSeconds: number } => ({ name, seconds, childSeconds });
    const before = new Map([[1, process('cpuAgents', 1, 2)], [2, process('cpuAgents', 1)], [3, process('cpuEtcd', 5)]]);
    const after = new Map([[1, process('cpuAgents', 1.5, 5)], [2, process('cpuAgents', 2)], [3, process('cpuControllers', 0.25)], [4, process('cpuAgents', 0.1)]]);
    expect(cpuBetween(before, after)).toEqual({ cpuAgents: 1.6, cpuTasks: 3, cpuControllers: 0.25 });
  });
});
