// records.ts: what others have published. Each counts something of its own, on hardware of its own: the page says what.

export interface PublishedFigure {
  readonly system: string;
  readonly figure: string;
  /** From where to where. */
  readonly counts: string;
  readonly on: string;
  readonly source: string;
  /** Our case that counts what comes nearest, by name or family; absent when none does. */
  readonly beside?: string;
}

export const publishedFigures: readonly PublishedFigure[] = [
  {
    system: 'Kubernetes kube-scheduler, CI benchmark',
    figure: 'P50 1,130, P90 1,619, P99 1,745 pods/s',
    counts: 'pods bound per second, sampled each second: percentiles of the rate, so that P99 is the best moments. Scheduler, API server and etcd in one process, no kubelets',
    on: '50,000 pods on 5,000 fake nodes, a VM of Kubernetes CI; mean of six runs',
    source: 'kubernetes/enhancements, keps/sig-node/5328-node-declared-features/README.md',
    beside: 'SchedulingBasic/5000Nodes_50000Tasks',
  },
  {
    system: 'Kubernetes kube-scheduler, CI threshold',
    figure: '680 and 810 pods/s',
    counts: 'the same rate, below which the CI job fails, for SchedulingBasic 5000Nodes_10000Pods and 5000Nodes_50000Pods',
    on: 'the same',
    source: 'kubernetes/kubernetes, test/integration/scheduler_perf/misc/performance-config.yaml',
    beside: 'SchedulingBasic/5000Nodes_10000Tasks',
  },
  {
    system: 'Kubernetes kube-scheduler, CI thresholds with constraints',
    figure: '590 (Unschedulable), 710 (MixedChurn), 220 (node affinity) pods/s',
    counts: 'the same rate',
    on: '5,000 fake nodes, 10,000 pods',
    source: 'kubernetes/kubernetes, test/integration/scheduler_perf, misc and affinity/performance-config.yaml',
    beside: 'Unschedulable',
  },
  {
    system: 'Kubernetes, a real cluster',
    figure: '100–150 pods/s',
    counts: 'throughput of the default scheduler that its maintainers expect in the load test of a real cluster',
    on: '5,000 VMs',
    source: 'kubernetes/enhancements, keps/sig-scheduling/4247-queueinghint and 5229-asynchronous-api-calls-during-scheduling',
  },
  {
    system: 'Gödel scheduler',
    figure: '1,000 pods/s on average, 1,300 at best (kube-scheduler there: 300 and 430)',
    counts: 'pods scheduled from end to end, at 2,000 creates/s; three scheduler shards',
    on: '30,000 KWOK nodes, one machine of 96 hardware threads, 384 GB, NVMe',
    source: 'kubewharf/godel-scheduler, docs/performance/best-practice.md',
    beside: 'SchedulingBasic/20000Nodes_10000Tasks',
  },
  {
    system: 'Apache YuniKorn',
    figure: '833, 556, 156 pods/s (1, 5, 25 applications)',
    counts: 'pods scheduled, over the time of the whole run',
    on: '5,000 pods on 5,000 KWOK nodes',
    source: 'apache/yunikorn-site, docs/performance/evaluate_perf_function_with_kwok.md',
    beside: 'SchedulingBasic/5000Nodes_10000Tasks',
  },
  {
    system: 'Nomad C1M',
    figure: '3,750 containers/s',
    counts: 'a million containers scheduled in less than five minutes; 1,000 jobs of 1,000 tasks: one submission stands for a thousand placements',
    on: '5 servers and 5,000 hosts in a public cloud, Nomad 0.3.1',
    source: 'https://www.hashicorp.com/c1m',
    beside: 'SchedulingBasic/5000Nodes_50000Tasks',
  },
  {
    system: 'Nomad C2M',
    figure: '1,500 containers/s',
    counts: 'two million containers scheduled in 22 min 14 s',
    on: '3 schedulers, 6,100 hosts in ten regions, Nomad 1.0',
    source: 'https://www.hashicorp.com/c2m',
    beside: 'SchedulingBasic/5000Nodes_50000Tasks',
  },
  {
    system: 'Slurm',
    figure: '500 jobs/s',
    counts: 'simple batch jobs executed, sustained ("validated to execute"); bursts are higher',
    on: 'not stated',
    source: 'SchedMD/slurm, doc/html/high_throughput.shtml',
    beside: 'true-per-second/1Agent',
  },
  {
    system: 'Flux',
    figure: '147 jobs/s for 2,000 jobs, 33 for 16,000 (69 after fixes)',
    counts: 'jobs completed per second; it falls with the jobs that are there',
    on: 'one node',
    source: 'https://github.com/flux-framework/flux-core/issues/6690',
    beside: 'history',
  },
  {
    system: 'HyperQueue',
    figure: 'about 0.1 ms per task',
    counts: 'cost of a task at the server. The benchmark of its repository runs in a mode without workers, in which no process starts; the text does not say whether the figure is from it',
    on: 'up to 17 nodes',
    source: 'It4innovations/hyperqueue, docs/faq.md and benchmarks/experiment-per-task-overhead.py',
  },
  {
    system: 'Ray',
    figure: '569 tasks/s',
    counts: 'starts and ends of 10,000 tasks that are Python functions (derived: 317.6 s less the 300 s that each sleeps)',
    on: '64 machines of 64 cores, 2,500 of them used',
    source: 'ray-project/ray, release/perf_metrics/benchmarks/many_tasks.json',
    beside: 'lifecycle',
  },
  {
    system: 'Dask',
    figure: 'about 4,000 tasks/s',
    counts: 'tasks through the central scheduler: calls in workers that run already, nothing is kept on disk',
    on: 'not stated',
    source: 'dask/distributed, docs/source/efficiency.rst',
    beside: 'lifecycle',
  },
  {
    system: 'graphile-worker',
    figure: '15,607 jobs/s, 183,895 in batches; 4.28 ms from enqueuing to execution on average',
    counts: 'JavaScript functions that do nothing, called in workers that run already; a job queue, no scheduler of resources',
    on: 'Intel i9-14900K, PostgreSQL on it, 4 Node.js processes',
    source: 'graphile/worker, website/docs/performance.md',
    beside: 'submit-to-running',
  },
  {
    system: 'Kubernetes, start of a pod',
    figure: 'objective: p99 ≤ 5 s; seen: 0–1 s',
    counts: 'from creation to running, the image being there; the clock has whole seconds',
    on: 'a cluster within the supported limits; a development cluster with runc',
    source: 'kubernetes/community, sig-scalability/slos/slos.md; https://github.com/dam-agents/dam/issues/3435',
    beside: 'submit-to-running',
  },
  {
    system: 'etcd',
    figure: '50,104 writes/s, 583/s of one client',
    counts: 'puts of 256 bytes, 1,000 clients and one: what a control plane on etcd cannot exceed, unless writes share a transaction',
    on: '3 machines of 8 vCPUs, etcd 3.2, as its documentation still has it',
    source: 'etcd-io/website, content/en/docs/v3.6/op-guide/performance.md',
    beside: 'api-create',
  },
  {
    system: 'Nomad, loss of a node',
    figure: '20–30 s at 100 clients, 110–210 s at 5,000, 210–410 s at 10,000',
    counts: 'heartbeat time to live that grows with the clients, plus 10 s of grace',
    on: 'defaults',
    source: 'hashicorp/nomad, website/content/docs/configuration/server.mdx',
    beside: 'agents/10000',
  },
  {
    system: 'Kubernetes, loss of a node',
    figure: '40 s, and 300 s more until pods are evicted',
    counts: 'node monitor grace period; toleration of the not-ready taint',
    on: 'defaults',
    source: 'kubernetes/enhancements, keps/sig-scheduling/589; https://github.com/kubernetes/kubernetes/issues/55713',
    beside: 'agents/10000',
  },
  {
    system: 'Mesos, Slurm, loss of a node',
    figure: '75 s (Mesos), 300 s (Slurm)',
    counts: 'five health checks of 15 s; SlurmdTimeout',
    on: 'defaults',
    source: 'apache/mesos, docs/configuration/master.md; SchedMD/slurm, doc/man/man5/slurm.conf.5',
    beside: 'agents/10000',
  },
  {
    system: 'Slurm, loss of the controller',
    figure: '120 s',
    counts: 'SlurmctldTimeout, until the backup takes over',
    on: 'default',
    source: 'SchedMD/slurm, doc/man/man5/slurm.conf.5',
    beside: 'failover/default',
  },
  {
    system: 'k3s',
    figure: '1,596 MB server with workload, 275 MB agent',
    counts: 'resident memory, 95th percentile, SQLite. It holds a container runtime, DNS, ingress and metrics, too',
    on: '2 cores',
    source: 'https://docs.k3s.io/reference/resource-profiling',
    beside: 'memory/idle',
  },
];
