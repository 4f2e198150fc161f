// Whatever is sent as a definition, or as an object of one that was taken: never a failure of the server, and never a kind that it cannot serve.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SystemClock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { SystemRandom } from '../../lib/random.js';
import { createInProcessApiServer, type InProcessApiServer } from '../in-process.js';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const things = '/apis/example.com/v1/namespaces/default/things';
const defects: unknown[] = [];
const logger: Logger = { debug() {}, info() {}, warn() {}, error: (message, fields) => defects.push([message, fields]), child: () => logger };

const keyword = fc.constantFrom('type', 'properties', 'items', 'additionalProperties', 'required', 'enum', 'default', 'pattern', 'format', 'nullable', 'x-kubernetes-validations', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-int-or-string', 'x-kubernetes-preserve-unknown-fields', 'allOf', 'anyOf', 'not');
const { schema } = fc.letrec((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4 },
    fc.record({ type: fc.constantFrom('object', 'array', 'string', 'integer', 'number', 'boolean'), properties: fc.dictionary(fc.constantFrom('a', 'b', 'spec', 'metadata', 'status'), tie('schema'), { maxKeys: 3 }) }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constant('array'), items: tie('schema') }),
    fc.dictionary(keyword, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
    fc.jsonValue({ maxDepth: 1 }),
  ),
}));

/** The right thing, mostly: of a definition that is wrong everywhere no part is looked at closely. */
const mostly = <T,>(right: T): fc.Arbitrary<unknown> => fc.oneof({ weight: 12, arbitrary: fc.constant(right) }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) });
const plainSchema = fc.constantFrom<object>({ type: 'string' }, { type: 'integer', minimum: 1, default: 2 }, { type: 'array', items: { type: 'string' } }, { 'x-kubernetes-int-or-string': true }, { type: 'object', properties: { a: { type: 'string', default: 'b' } } }, { type: 'object', 'x-kubernetes-preserve-unknown-fields': true });
const ofSpec = fc.record({ type: fc.constant('object'), properties: fc.record({ spec: fc.oneof(plainSchema, schema), status: plainSchema }) });
const wholeSchema = fc.oneof({ weight: 5, arbitrary: ofSpec }, { weight: 1, arbitrary: schema });
const version = (name: string, storage: boolean): fc.Arbitrary<object> =>
  fc.record(
    {
      name: mostly(name),
      served: mostly(true),
      storage: mostly(storage),
      schema: fc.record({ openAPIV3Schema: wholeSchema }),
      subresources: mostly({ status: {}, scale: { specReplicasPath: '.spec.a', statusReplicasPath: '.status.a' } }),
      additionalPrinterColumns: mostly([{ name: 'a', type: 'string', jsonPath: '.spec.a' }]),
      selectableFields: mostly([]),
    },
    { requiredKeys: ['name', 'served', 'storage', 'schema'] },
  );

const spec = fc.record(
  {
    group: mostly('example.com'),
    scope: mostly('Namespaced'),
    names: mostly({ plural: 'things', kind: 'Thing' }),
    versions: fc.oneof(fc.tuple(version('v1', true)), fc.tuple(version('v1', true), version('v2', false))),
    conversion: mostly({ strategy: 'None' }),
  },
  { requiredKeys: ['group', 'scope', 'names', 'versions'] },
);

describe('any definition', () => {
  let server: InProcessApiServer;
  let running: Promise<void>;
  const stop = new AbortController();

  beforeAll(async () => {
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom(), logger });
    running = server.run(stop.signal);
    await server.ready;
  });
  afterAll(async () => {
    stop.abort();
    await running;
    await server.close();
  });

  it('is answered as Kubernetes would, and what is taken is served', async () => {
    const transport = server.transport();
    const send = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown, headers: Record<string, string> = {}): Promise<number> =>
      (await transport.request({ method, path, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).status;
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(spec, fc.jsonValue({ maxDepth: 3 }), async (wanted, value) => {
        const name = 'things.example.com';
        const code = await send('POST', definitions, { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name }, spec: wanted });
        expect([201, 400, 422]).toContain(code);
        if (code === 201) {
          taken++;
          const asTable = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
          for (const path of ['/apis', '/openapi/v2', '/openapi/v3', '/openapi/v3/apis/example.com/v1']) expect([200, 404]).toContain(await send('GET', path));
          expect([201, 400, 404, 405, 422]).toContain(await send('POST', things, { metadata: { name: 'a' }, spec: value, status: value }));
          expect([200, 404]).toContain(await send('GET', things, undefined, asTable));
          expect([200, 400, 404, 422]).toContain(await send('PATCH', `${things}/a`, { spec: value }, { 'content-type': 'application/merge-patch+json' }));
          expect([200, 404, 422]).toContain(await send('PATCH', `${things}/a/scale`, { spec: { replicas: value } }, { 'content-type': 'application/merge-patch+json' }));
          expect([200, 404]).toContain(await send('DELETE', `${things}/a`));
          await send('DELETE', `${definitions}/${name}`);
          await send('PATCH', `${definitions}/${name}`, { metadata: { finalizers: null } }, { 'content-type': 'application/merge-patch+json' });
        }
      }),
      { numRuns: 300 },
    );
    expect(defects).toEqual([]);
    expect(taken).toBeGreaterThan(10);
  }, 60_000);
});
