// An informer of client-node that was cut off for longer than the server keeps changes: it is told 410, and lists again.

import { CoreV1Api, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import { describe, expect } from '@jest/globals';
import { Deferred } from '../../lib/deferred.js';
import { TcpProxy } from '../tcp-proxy.js';
import { withCluster } from '../with-cluster.js';
import { configOf } from './config.js';

const changesKept = 20;
const namespace = 'default';

describe('an informer that was away too long', () => {
  const { story } = withCluster({ store: 'embedded', apiserverFlags: ['--default-watch-cache-size', String(changesKept)] });

  story('hears of everything that it missed, deletions too', async (cluster) => {
    const core = configOf(cluster).makeApiClient(CoreV1Api);
    const put = (name: string): Promise<V1ConfigMap> => core.createNamespacedConfigMap({ namespace, body: { metadata: { name } } });
    await put('stays');
    await put('goes');

    const proxy = await TcpProxy.start(Number(new URL(cluster.processes.server).port));
    const config = configOf(cluster);
    config.clusters = config.clusters.map((one) => Object.assign({}, one, { server: `https://127.0.0.1:${proxy.port}` }));
    let lists = 0;
    const informer = makeInformer<V1ConfigMap>(config, `/api/v1/namespaces/${namespace}/configmaps`, () => {
      lists++;
      return config.makeApiClient(CoreV1Api).listNamespacedConfigMap({ namespace });
    });
    const [cut, missed, gone] = [new Deferred<void>(), new Deferred<void>(), new Deferred<void>()];
    const known = new Set<string>();
    informer.on('add', ({ metadata }) => {
      known.add(metadata?.name ?? '');
      if (metadata?.name === 'missed') missed.resolve();
    });
    informer.on('delete', ({ metadata }) => {
      known.delete(metadata?.name ?? '');
      if (metadata?.name === 'goes') gone.resolve();
    });
    informer.on('error', () => cut.resolve());
    try {
      await informer.start();
      await cluster.eventually('the first list', async () => (known.has('stays') && known.has('goes')) || undefined);
      proxy.cut();
      await core.deleteNamespacedConfigMap({ namespace, name: 'goes' });
      await put('missed');
      for (let change = 0; change <= 2 * changesKept; change++) await put(`more-${change}`);
      // What was cut stays lost: the informer finds its connection closed, and goes on when it is told to.
      proxy.mend();
      await cut.promise;
      await informer.start();
      await Promise.all([missed.promise, gone.promise]);
      expect(lists).toBe(2);
      expect(known.has('stays')).toBe(true);
      expect(known.has(`more-${2 * changesKept}`)).toBe(true);
    } finally {
      await informer.stop();
      await proxy.close();
    }
  });
});
