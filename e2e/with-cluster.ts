// with-cluster.ts: one cluster for all stories of a describe block.

import { afterAll, beforeAll, it } from '@jest/globals';
import { Cluster, type ClusterOptions } from './cluster.js';

const startMsMax = 90_000;

export interface Stories {
  /** The cluster, once the stories run. */
  cluster(): Cluster;
  /** A test in the cluster; when it fails, what the components said is printed. */
  story(name: string, tell: (cluster: Cluster) => Promise<void>, timeoutMs?: number): void;
}

export function withCluster(options: ClusterOptions): Stories {
  let started: Cluster | undefined;
  const cluster = (): Cluster => {
    if (!started) throw new Error('the cluster did not start; see the failure of beforeAll');
    return started;
  };
  beforeAll(async () => {
    started = await Cluster.start(options);
  }, startMsMax);
  afterAll(async () => {
    await started?.close();
  }, startMsMax);
  const story: Stories['story'] = (name, tell, timeoutMs = 90_000) => {
    it(name, () => cluster().story(() => tell(cluster())), timeoutMs);
  };
  return { cluster, story };
}
