import { describe, expect, it } from '@jest/globals';
import { createInProcessApiServer, controllersUser } from '../apiserver/in-process.js';
import { configMapKind, type ConfigMap } from '../api/config.js';
import type { KindDefinition } from '../api/kind.js';
import { ApiClient } from '../client/api-client.js';
import { SystemClock } from '../lib/clock.js';
import { silentLogger as logger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { aborted } from '../lib/service.js';
import { MetadataInformers } from './metadata-informers.js';

const clock = new SystemClock();
const random = new SystemRandom();

describe('MetadataInformers', () => {
  it('tell what went while the copies in one version took over from those in another', async () => {
    const stop = new AbortController();
    const server = await createInProcessApiServer({ clock, random });
    const serving = server.run(stop.signal);
    await server.ready;
    const client = new ApiClient({ transport: server.transport(controllersUser) });
    const older = { ...configMapKind, version: 'v0' } as unknown as KindDefinition;
    // Whatever version is asked for, the server has one; a watch in the old version tells nothing any more.
    const silent = (signal: AbortSignal) => ({ [Symbol.asyncIterator]: () => ({ next: () => aborted(signal).then(() => ({ done: true, value: undefined })) }) });
    const either = Object.assign({}, client, { list: (_kind: KindDefinition, options: object) => client.list(configMapKind, options), watchBatches: (kind: KindDefinition, options: { signal: AbortSignal }) => (kind === older ? silent(options.signal) : client.watchBatches(configMapKind, options)) }) as unknown as ApiClient;
    const make = (name: string) => client.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } } as ConfigMap);
    const made = await make('passing');
    await make('staying');

    let current = older;
    let changed = (): void => undefined;
    const kinds = { synced: Promise.resolve(), stored: () => [current], find: () => current, onChange: (handler: () => void) => void (changed = handler) };
    const informers = new MetadataInformers({ client: either, kinds, shared: [], ignored: [], clock, random, logger });
    const running = informers.run(stop.signal);
    await informers.synced;
    const gone = new Promise<unknown>((resolve) => {
      informers.onChanges({ changes: (_kind, changes) => changes.filter(({ type }) => type === 'deleted').forEach(({ object }) => resolve(object.metadata.uid)) });
    });
    await client.delete(configMapKind, 'passing', 'default');
    current = configMapKind as unknown as KindDefinition;
    changed();
    expect(await gone).toBe(made.metadata.uid);
    await informers.synced;
    expect([...informers.values(current)].map(({ metadata }) => metadata.name)).toEqual(['staying']);
    stop.abort();
    await Promise.all([running, serving]);
    await server.close();
  });
});
