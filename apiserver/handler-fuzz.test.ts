// Anything that a client may send, through the whole handler: a reply, never a 500, and on failure always a Status.

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isStatusReason } from '../api/errors.js';
import { kinds } from '../api/kinds.js';
import { SystemClock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { ApiServerCore } from './core.js';
import { bodyBytesMax, decodeBody } from './http/decode.js';
import type { ServerReply, ServerRequest } from './http/message.js';
import { ServerMetrics } from './http/metrics.js';
import { field, message, text } from './http/protobuf.js';
import { deleteOptions, listQuery, readOptions, watchQuery, writeOptions } from './http/query.js';
import { adminUser } from './in-process.js';
import { cacheIndexes } from './resources/object-cache.js';
import { EmbeddedStore } from './storage/embedded/embedded-store.js';
import { WatchCache } from './storage/watch-cache.js';

/** What the server itself calls a defect. */
const defects: unknown[] = [];
const logger: Logger = { debug() {}, info() {}, warn() {}, error: (said, fields) => defects.push([said, fields]), child: () => logger };

let core: ApiServerCore;
let close: () => Promise<void>;

beforeAll(async () => {
  const [clock, random, stop] = [new SystemClock(), new SystemRandom(), new AbortController()];
  const directory = await mkdtemp(join(tmpdir(), 'taskplane-fuzz-'));
  const store = EmbeddedStore.open({ file: join(directory, 'store.db'), clock });
  const cache = new WatchCache({ store, indexes: cacheIndexes, clock, random, log: logger });
  core = new ApiServerCore({ store, cache, clock, random, logger, metrics: new ServerMetrics({ process: false }) });
  const running = core.run(stop.signal);
  close = async () => {
    stop.abort();
    await running;
    await store.close();
    await rm(directory, { recursive: true, force: true });
  };
  await core.ready;
  for (const [path, object] of there) await handle({ method: 'POST', path, body: Buffer.from(JSON.stringify(object)) });
});
afterAll(() => close());

const there: [string, object][] = [
  ['/apis/taskplane.dev/v1/namespaces/default/tasks', { metadata: { name: 'there', labels: { a: 'b' } }, spec: { script: 'true' } }],
  ['/api/v1/namespaces/default/configmaps', { metadata: { name: 'there' }, data: { a: 'b' } }],
  ['/api/v1/nodes', { metadata: { name: 'there' } }],
  ['/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata: { name: 'there' }, spec: { holderIdentity: 'me' } }],
];

interface Sent {
  method: string;
  path: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Buffer;
}

async function handle({ method, path, query = {}, headers = {}, body = Buffer.alloc(0) }: Sent): Promise<{ status: number; text: string }> {
  const gone = new AbortController();
  const request: ServerRequest = { method, path, query: new URLSearchParams(query), headers, user: adminUser, signal: gone.signal, readBody: () => Promise.resolve(body) };
  const reply = await core.handler.handle(request);
  return { status: reply.status, text: await bodyOf(reply, gone) };
}

/** The text of a reply; what would go on for ever is left at once. */
async function bodyOf({ body }: ServerReply, gone: AbortController): Promise<string> {
  if (typeof body !== 'function') return body.toString();
  let written = '';
  const over = Promise.resolve(body({ write: (chunk) => void (written += chunk.toString()), bufferedBytes: 0, drained: () => Promise.resolve(), end() {}, signal: gone.signal }));
  await new Promise((resolve) => setImmediate(resolve));
  gone.abort();
  await over;
  return written;
}

const collections = kinds.map(({ group, version, plural, namespaced }) => `${group ? `/apis/${group}` : '/api'}/${version}${namespaced ? '/namespaces/default' : ''}/${plural}`);
const subresources = ['status', 'log', 'binding', 'eviction', 'exec', 'attach', 'portforward', 'scale', 'finalize', 'presence', 'ephemeralcontainers', 'nothing'];
const path = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom(...collections), fc.constantFrom('', '/there', '/gone', ...subresources.map((name) => `/there/${name}`))).map((parts) => parts.join('')) },
  { weight: 1, arbitrary: fc.webPath() },
  { weight: 1, arbitrary: fc.array(fc.constantFrom('api', 'apis', 'v1', 'namespaces', 'default', 'openapi', 'v2', 'v3', 'version', 'metrics', 'bulk', 'tasks', '..', '%00', '%2e', '%e0%80'), { maxLength: 6 }).map((words) => `/${words.join('/')}`) },
);

const parameters = [
  'limit', 'continue', 'labelSelector', 'fieldSelector', 'resourceVersion', 'resourceVersionMatch', 'watch', 'sendInitialEvents', 'allowWatchBookmarks', 'timeoutSeconds', 'includeObject', 'dryRun', 'fieldManager',
  'fieldValidation', 'force', 'gracePeriodSeconds', 'propagationPolicy', 'orphanDependents', 'tailLines', 'sinceTime', 'sinceSeconds', 'limitBytes', 'follow', 'container', 'command', 'stdin', 'tty', 'ports', 'pretty', 'timeout',
];
const parameter = fc.oneof(fc.string(), fc.constantFrom('', '0', '1', '-1', '1e9', '99999999999999999999', 'true', 'false', 'All', 'Exact', 'NotOlderThan', 'Strict', 'a=b', 'a in (b)', 'metadata.name=there', 'W10', 'Orphan', '2026-01-01T00:00:00Z'));
const query = fc.dictionary(fc.constantFrom(...parameters), parameter, { maxKeys: 4 });

const objectLike = fc.oneof(fc.jsonValue(), fc.record({ kind: fc.constantFrom('Task', 'ConfigMap', 'DeleteOptions', 'Eviction', 'Scale', 1), apiVersion: fc.constantFrom('v1', 'taskplane.dev/v1', 'policy/v1', null), metadata: fc.oneof(fc.jsonValue(), fc.record({ name: fc.jsonValue(), namespace: fc.jsonValue(), labels: fc.jsonValue(), finalizers: fc.jsonValue(), ownerReferences: fc.jsonValue(), managedFields: fc.jsonValue(), resourceVersion: fc.jsonValue(), annotations: fc.jsonValue() }, { requiredKeys: [] })), spec: fc.jsonValue(), status: fc.jsonValue(), data: fc.jsonValue(), preconditions: fc.jsonValue(), dryRun: fc.jsonValue(), deleteOptions: fc.jsonValue() }, { requiredKeys: [] }));
const bytes = (max: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
const protobuf = fc.tuple(fc.constantFrom(['v1', 'ConfigMap'], ['v1', 'Event'], ['v1', 'DeleteOptions'], ['coordination.k8s.io/v1', 'Lease'], ['authorization.k8s.io/v1', 'SelfSubjectAccessReview'], ['autoscaling/v1', 'Scale']), bytes(60), fc.boolean()).map(
  ([[apiVersion, kind], raw, inMetadata]) => Buffer.concat([Buffer.from('k8s\0', 'latin1'), field(1, message(text(1, apiVersion!), text(2, kind!))), field(2, inMetadata ? field(1, raw) : raw)]),
);
const operations = fc.array(fc.record({ op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'), path: fc.oneof(fc.string(), fc.constantFrom('', '/', '/metadata/labels/a', '/spec', '/data/-')), from: fc.constantFrom('', '/spec', '/metadata'), value: fc.jsonValue() }, { requiredKeys: [] }), { maxLength: 4 });
const body = fc.oneof(
  { weight: 4, arbitrary: objectLike.map((value) => Buffer.from(JSON.stringify(value) ?? '')) },
  { weight: 2, arbitrary: operations.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 2, arbitrary: protobuf },
  { weight: 1, arbitrary: bytes(80) },
  { weight: 1, arbitrary: fc.constantFrom('', '{"a":1,"a":2}', 'a: *x', '- &a [*a]', '{"__proto__":{}}', '[[[[', '\u0000').map((each) => Buffer.from(each)) },
);
const contentType = fc.constantFrom('', 'application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/merge-patch+json', 'application/json-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml', 'text/plain', 'application/json; charset=utf-8', ';');
const accept = fc.constantFrom('', '*/*', 'application/json', 'application/yaml', 'application/json;as=Table;v=v1;g=meta.k8s.io', 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', 'text/html', ';;,q=', 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');

it('answers anything with something other than a 500, and every failure is a Status', async () => {
  const sent = fc.record({ method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'LINK'), path, query, headers: fc.record({ 'content-type': contentType, accept }, { requiredKeys: [] }), body });
  await fc.assert(
    fc.asyncProperty(sent, async (each) => {
      // What takes away the things that the other requests are about is not the question here.
      const query = each.method === 'DELETE' ? { ...each.query, dryRun: 'All' } : each.query;
      const { status, text } = await handle({ ...each, query });
      expect(status).not.toBe(500);
      if (status < 400 || /^\/(livez|readyz|healthz)/.test(each.path)) return;
      const failure = JSON.parse(text) as { reason: string };
      expect(failure).toMatchObject({ kind: 'Status', apiVersion: 'v1', metadata: expect.any(Object), status: 'Failure', message: expect.stringMatching(/\S/), code: status });
      expect([failure.reason, isStatusReason(failure.reason)]).toEqual([failure.reason, true]);
    }),
    { numRuns: 2_500 },
  );
  expect(defects).toEqual([]);
}, 60_000);

it('reads any body as a value or refuses it', () => {
  fc.assert(
    fc.property(fc.oneof(body, fc.string().map((each) => Buffer.from(each))), contentType, (each, type) => {
      try {
        decodeBody(each, type);
      } catch (error) {
        expect(error).toMatchObject({ name: 'ApiError', code: expect.any(Number) });
        expect([400, 413, 415]).toContain((error as { code: number }).code);
      }
    }),
    { numRuns: 2_000 },
  );
  expect(() => decodeBody(Buffer.alloc(bodyBytesMax, '['), '')).toThrow('nested more than');
});

it('reads any parameters as options or refuses them', () => {
  const readers: ((query: URLSearchParams) => unknown)[] = [listQuery, watchQuery, readOptions, (each) => writeOptions(each, 'kubectl/v1', 'CreateOptions'), (each) => deleteOptions(each, undefined)];
  fc.assert(
    fc.property(query, (each) => {
      for (const read of readers) {
        try {
          read(new URLSearchParams(each));
        } catch (error) {
          expect([400, 422]).toContain((error as { code: number }).code);
        }
      }
    }),
    { numRuns: 500 },
  );
});
