import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeObject } from '../../api/meta.js';
import type { ApiRequest } from '../../api/transport.js';
import { SystemClock } from '../../lib/clock.js';
import { SystemRandom } from '../../lib/random.js';
import { createInProcessApiServer, type InProcessApiServer } from '../in-process.js';
import { EmbeddedStore } from '../storage/embedded/embedded-store.js';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const things = '/apis/example.com/v1/namespaces/default/things';
const merge = { 'content-type': 'application/merge-patch+json' };

const spec = {
  type: 'object',
  properties: {
    size: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'must not shrink' }] },
    least: { type: 'integer' },
    colour: { type: 'string', nullable: true, default: 'red' },
    shape: { type: 'string', default: 'round' },
    open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
  'x-kubernetes-validations': [{ rule: '!has(self.least) || self.least <= self.size', messageExpression: '"%d is less than %d".format([self.size, self.least])', fieldPath: '.size' }],
};
const status = { type: 'object', properties: { phase: { type: 'string', default: 'New', enum: ['New', 'Done'] }, seen: { type: 'integer' } } };

const definition = (schema: object): object => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'things.example.com' },
  spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'things', kind: 'Thing' }, versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema }, subresources: { status: {} } }] },
});
const thing = (given: unknown): object => ({ apiVersion: 'example.com/v1', kind: 'Thing', metadata: { name: 'a' }, spec: given });

describe('objects of a kind with a schema', () => {
  let store: EmbeddedStore;
  let directory: string;
  let server: InProcessApiServer;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-schemas-'));
    store = EmbeddedStore.open({ file: join(directory, 'store.db'), clock: new SystemClock() });
    stop = new AbortController();
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom(), store });
    running = server.run(stop.signal);
    await server.ready;
    expect((await send('POST', definitions, definition({ type: 'object', properties: { spec, status } }))).code).toBe(201);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function send(method: ApiRequest['method'], path: string, body?: unknown): Promise<{ code: number; body: KubeObject & { message?: string } }> {
    const answer = await server.transport().request({ method, path, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...(method === 'PATCH' ? { headers: merge } : {}) });
    return { code: answer.status, body: JSON.parse(answer.body) };
  }
  const patch = (body: object, path = ''): ReturnType<typeof send> => send('PATCH', `${things}/a${path}`, body);

  it('keep nulls where they are values, and get defaults where they are not', async () => {
    const { body } = await send('POST', things, thing({ size: 1, colour: null, shape: null, open: { any: null } }));
    expect(body.spec).toEqual({ size: 1, colour: null, shape: 'round', open: { any: null } });
    expect((await send('GET', `${things}/a`)).body.spec).toEqual(body.spec);
  });

  it('are held to its rules on create, and to what they were on update', async () => {
    const refused = await send('POST', things, thing({ size: 1, least: 2 }));
    expect([refused.code, refused.body.message]).toEqual([422, 'Thing.example.com "a" is invalid: spec.size: Invalid value: "object": 1 is less than 2']);
    expect((await send('POST', things, thing({ size: 2, least: 2 }))).code).toBe(201);
    const shrunk = await patch({ spec: { size: 1, least: null } });
    expect([shrunk.code, shrunk.body.message]).toEqual([422, 'Thing.example.com "a" is invalid: spec.size: Invalid value: "integer": must not shrink']);
    expect((await patch({ spec: { size: 3 } })).code).toBe(200);
  });

  it('get the defaults of their status with a write of it', async () => {
    await send('POST', things, thing({ size: 1 }));
    expect((await patch({ status: { seen: 1 } }, '/status')).body['status']).toEqual({ seen: 1, phase: 'New' });
    expect((await patch({ status: { phase: 'Old' } }, '/status')).body.message).toBe('Thing.example.com "a" is invalid: status.phase: Unsupported value: "Old": supported values: "New", "Done"');
  });

  it('get the defaults of a status that is no subresource with every write', async () => {
    const [version] = (definition({ type: 'object', properties: { spec, status } }) as { spec: { versions: object[] } }).spec.versions;
    expect((await send('PATCH', `${definitions}/things.example.com`, { spec: { versions: [{ ...version, subresources: null }] } })).code).toBe(200);
    await send('POST', things, thing({ size: 1 }));
    expect((await patch({ status: { seen: 1 } })).body['status']).toEqual({ seen: 1, phase: 'New' });
    expect((await patch({ status: { seen: null, phase: null } })).body['status']).toEqual({ phase: 'New' });
  });

  it('can still be changed elsewhere when the schema becomes stricter', async () => {
    await send('POST', things, thing({ size: 9, least: 9 }));
    const stricter = { type: 'object', properties: { spec: { ...spec, required: ['open'], properties: { ...spec.properties, size: { type: 'integer', maximum: 5 } }, 'x-kubernetes-validations': [{ rule: 'self.least < 3' }] }, status } };
    expect((await send('PATCH', `${definitions}/things.example.com`, { spec: (definition(stricter) as { spec: object }).spec })).code).toBe(200);
    expect((await patch({ status: { seen: 2 } }, '/status')).code).toBe(200);
    expect((await patch({ metadata: { finalizers: ['example.com/f'] } })).code).toBe(200);
    expect((await patch({ spec: { size: 8 } })).body.message).toBe('Thing.example.com "a" is invalid: [spec.open: Required value, spec.size: Invalid value: 8: spec.size in body should be less than or equal to 5]');
  });

  it('are refused when the schema is no structural one', async () => {
    const { code, body } = await send('POST', definitions, { ...definition({ type: 'object', properties: { spec: {} } }), metadata: { name: 'things.example.com' } });
    expect([code, body.message]).toEqual([
      422,
      'CustomResourceDefinition.apiextensions.k8s.io "things.example.com" is invalid: spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields',
    ]);
  });
});
