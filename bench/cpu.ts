// cpu.ts: where the time of a measured window went: processor seconds of each component, the largest memory and the
// delays of the API server, what the store did. Processor time says who works, and changes less than the clock's figures do
// when others use the machine, too.

import { readFile, writeFile } from 'node:fs/promises';
import { HttpsTransport } from '../client/https-transport.js';
import { loadKubeConfig } from '../client/kubeconfig.js';
import type { TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';
import { childrenOf, commandOf } from './children.js';
import { increase, parseMetrics, quantileBetween, type Metrics } from './metrics.js';
import { rounded } from './percentiles.js';

/** Clock ticks per second of /proc, on every Linux that Node runs on. */
const ticksPerSecond = 100;

const nameOf: Readonly<Record<string, string>> = {
  apiserver: 'cpuApiserver', controllers: 'cpuControllers', agent: 'cpuAgents', dev: 'cpuDev', etcd: 'cpuEtcd',
};

interface Process {
  /** `cpuApiserver`; `cpuHollow-agents` and the like for helpers of the bench. */
  readonly name: string;
  readonly seconds: number;
  /** Of its own children that have ended: the processes of tasks, for an agent. */
  readonly childSeconds: number;
}

type Processes = ReadonlyMap<number, Process>;

async function readProcess(pid: number, role: string): Promise<Process> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // After the name, which may hold anything: state is the first field, utime, stime, cutime and cstime are the 12th to 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const secondsOf = (index: number): number => (Number(fields[index] ?? 0) + Number(fields[index + 1] ?? 0)) / ticksPerSecond;
  return { name: nameOf[role] ?? cpuNameOf(role), seconds: secondsOf(11), childSeconds: secondsOf(13) };
}

function cpuNameOf(role: string): string {
  const words = role.replace(/^bench /, '').split(/[^A-Za-z0-9]+/);
  return `cpu${words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')}`;
}

async function readProcesses(): Promise<Processes> {
  const children = (await childrenOf(process.pid)).filter(({ argv }) => argv.length > 0);
  const read = children.map(async ({ pid, argv }): Promise<[number, Process]> => [pid, await readProcess(pid, commandOf(argv).role)]);
  const own: Process = { name: 'cpuBench', seconds: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6, childSeconds: 0 };
  return new Map([...(await Promise.all(read)), [process.pid, own]]);
}

/** Seconds between two readings by component. A process that has ended meanwhile is no longer counted. */
export function cpuBetween(before: Processes, after: Processes): Record<string, number> {
  const sums: Record<string, number> = {};
  const add = (name: string, seconds: number): void => void (sums[name] = (sums[name] ?? 0) + seconds);
  for (const [pid, { name, seconds, childSeconds }] of after) {
    const earlier = before.get(pid)?.name === name ? before.get(pid) : undefined;
    add(name, seconds - (earlier?.seconds ?? 0));
    const ofTasks = childSeconds - (earlier?.childSeconds ?? 0);
    if (name === 'cpuAgents' && ofTasks > 0) add('cpuTasks', ofTasks);
  }
  return Object.fromEntries(Object.entries(sums).map(([name, seconds]) => [name, rounded(seconds)]));
}

/** What the API server counted between two readings; delays are those since the first reading, as it starts anew with each. */
export function serverBetween(before: Metrics, after: Metrics): Record<string, number> {
  const commits = increase(before, after, 'taskplane_store_commit_writes_count');
  const writes = increase(before, after, 'taskplane_store_commit_writes_sum');
  const delayMs = (quantile: string): number => rounded((after.get(`taskplane_event_loop_delay_seconds{quantile="${quantile}"}`) ?? 0) * 1_000, 1);
  return {
    loopDelayP99Ms: delayMs('0.99'),
    loopDelayMaxMs: delayMs('1'),
    gcApiserver: rounded(increase(before, after, 'nodejs_gc_duration_seconds_sum')),
    requests: increase(before, after, 'apiserver_request_total'),
    storeCommits: commits,
    storeWrites: writes,
  };
}

/** What etcd counted between two readings. */
export function etcdBetween(before: Metrics, after: Metrics): Record<string, number> {
  const fsyncs = 'etcd_disk_wal_fsync_duration_seconds';
  const p99 = quantileBetween(before, after, fsyncs, 0.99);
  return {
    etcdProposals: increase(before, after, 'etcd_server_proposals_committed_total'),
    etcdFsyncs: increase(before, after, `${fsyncs}_count`),
    ...(p99 === undefined ? {} : { etcdFsyncP99Ms: rounded(p99 * 1_000) }),
  };
}

async function readServer(processes: TaskplaneProcesses): Promise<Metrics> {
  const transport = new HttpsTransport({ access: await loadKubeConfig({ path: processes.adminKubeconfig }), maxSockets: 1, userAgent: 'taskplane-bench' });
  try {
    const { body } = await transport.request({ method: 'GET', path: '/metrics', headers: { accept: 'text/plain' } });
    return parseMetrics(body);
  } finally {
    await transport.close();
  }
}

async function readEtcd(endpoint: string): Promise<Metrics> {
  return parseMetrics(await (await fetch(`${endpoint}/metrics`)).text());
}

interface Reading {
  readonly processes: Processes;
  readonly server: Metrics | undefined;
  readonly etcd: Metrics | undefined;
}

/** A server that cannot say (a case may have killed it) leaves its figures out. */
async function readAll(processes: TaskplaneProcesses): Promise<Reading> {
  const [server, etcd] = await Promise.all([readServer(processes).catch(() => undefined), processes.etcd && readEtcd(processes.etcd.endpoint).catch(() => undefined)]);
  return { processes: await readProcesses(), server, etcd };
}

/** Makes the kernel forget the largest size that a process had, so that it tells that of the window. */
async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined);
}

/** MiB. */
async function peakOf(pid: number): Promise<Record<string, number>> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]);
  return kilobytes > 0 ? { rssPeakApiserverMiB: rounded(kilobytes / 1_024, 1) } : {};
}

/**
 * Starts to count.
 * @returns what answers, as details of a measurement, all that was counted since then: processor seconds of each component
 * (`cpuAgents` together, `cpuTasks` their tasks, `cpuBench` this process), and of the API server the peak of its memory,
 * the delays of its event loop, seconds of garbage collection, requests, commits and writes; etcd's own counts
 */
export async function countCpu(processes: TaskplaneProcesses): Promise<() => Promise<Record<string, number>>> {
  await forgetPeak(processes.apiserver.pid);
  const before = await readAll(processes);
  return async () => {
    const [after, peak] = await Promise.all([readAll(processes), peakOf(processes.apiserver.pid)]);
    return {
      ...cpuBetween(before.processes, after.processes),
      ...peak,
      ...(before.server && after.server ? serverBetween(before.server, after.server) : {}),
      ...(before.etcd && after.etcd ? etcdBetween(before.etcd, after.etcd) : {}),
    };
  };
}
