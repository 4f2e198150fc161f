// Kinds that a user brings: served from the moment they are defined until they are not.

import { expect, it } from '@jest/globals';
import { SystemClock } from '../../lib/clock.js';
import { untilSomething } from '../leaks.js';
import { names, type ConformanceCluster } from './cluster.js';
import { shown } from './lists.js';

const clock = new SystemClock();
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

const definition = (plural: string, kind: string): object => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.conformance.example.com` },
  spec: {
    group: 'conformance.example.com',
    scope: 'Namespaced',
    names: { plural, kind },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', required: ['size'], properties: { size: { type: 'integer', maximum: 10 }, colour: { type: 'string', default: 'red' } } },
              status: { type: 'object', properties: { ready: { type: 'boolean' } } },
            },
          },
        },
      },
    ],
  },
});

export function customResources(cluster: () => ConformanceCluster): void {
  it('is served with its defaults, pruned, validated and watched, until it is no longer defined', async () => {
    const { wire } = cluster();
    const path = `/apis/conformance.example.com/v1/namespaces/${await cluster().namespace()}/widgets`;
    expect((await wire.get(path)).status).toBe(404);
    await wire.create(definitions, definition('widgets', 'Widget'));
    const served = async () => ((await wire.get(path)).status === 200 ? true : undefined);
    await untilSomething('widgets to be served', served, clock, 20_000);
    const watch = await wire.watch(path);
    const made = await wire.create(path, { apiVersion: 'conformance.example.com/v1', kind: 'Widget', metadata: { name: 'a' }, spec: { size: 3, bogus: 1 }, status: { ready: true } });
    expect([made.spec, made.status]).toEqual([{ size: 3, colour: 'red' }, undefined]);
    const status = (await wire.patch(`${path}/a/status`, 'merge', { spec: { size: 9 }, status: { ready: true } })).json;
    expect([status.spec, status.status, status.metadata.generation]).toEqual([{ size: 3, colour: 'red' }, { ready: true }, 1]);
    const wrong = { apiVersion: 'conformance.example.com/v1', kind: 'Widget', metadata: { name: 'b' }, spec: { size: 11 } };
    expect(shown(await wire.post(path, wrong))).toEqual([422, 'Invalid', expect.stringContaining('spec.size: Invalid value: 11')]);
    const resources = (await wire.get('/apis/conformance.example.com/v1')).json['resources'] as { name: string }[];
    expect(resources.map(({ name }) => name)).toEqual(['widgets', 'widgets/status']);
    expect(names((await wire.get(path)).json)).toEqual(['a']);
    await wire.delete(`${definitions}/widgets.conformance.example.com`);
    expect(await watch.take(3)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
    watch.stop();
    await untilSomething('widgets to be gone', async () => ((await wire.get(path)).status === 404 ? true : undefined), clock, 20_000);
  });
}
