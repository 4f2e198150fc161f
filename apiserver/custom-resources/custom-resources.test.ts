import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CustomResourceDefinition, DefinitionVersion } from '../../api/custom-resource-definition.js';
import type { KubeObject } from '../../api/meta.js';
import type { ApiRequest, Transport } from '../../api/transport.js';
import { SystemClock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { SystemRandom } from '../../lib/random.js';
import { agentUser, createInProcessApiServer, type InProcessApiServer } from '../in-process.js';
import { objectStoreKey } from '../resources/registry-keys.js';
import { EmbeddedStore } from '../storage/embedded/embedded-store.js';
import type { Store } from '../storage/store.js';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const crontabs = '/apis/stable.example.com/v1/namespaces/default/crontabs';
const merge = { 'content-type': 'application/merge-patch+json' };
const asTable = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };

const v1: DefinitionVersion = {
  name: 'v1',
  served: true,
  storage: true,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      description: 'A table of times',
      properties: {
        spec: {
          type: 'object',
          properties: { cronSpec: { type: 'string', pattern: '^(\\S+ ){4}\\S+$' }, image: { type: 'string' }, replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 }, colour: { type: 'string' } },
        },
        status: { type: 'object', properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' } } },
      },
    },
  },
  subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas', labelSelectorPath: '.status.labelSelector' } },
  additionalPrinterColumns: [
    { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' },
    { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
  ],
  selectableFields: [{ jsonPath: '.spec.colour' }],
};

function definition(change: (spec: CustomResourceDefinition['spec']) => void = () => {}, plural = 'crontabs'): object {
  const spec: CustomResourceDefinition['spec'] = {
    group: 'stable.example.com',
    scope: 'Namespaced',
    names: { plural, singular: 'crontab', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] },
    versions: [structuredClone(v1)],
  };
  change(spec);
  return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: `${spec.names.plural}.${spec.group}` }, spec };
}

const crontab = (name: string, spec: object = { cronSpec: '* * * * */5', image: 'my-image' }, version = 'v1'): object => ({ apiVersion: `stable.example.com/${version}`, kind: 'CronTab', metadata: { name }, spec });

interface Answer {
  code: number;
  headers: Readonly<Record<string, string>>;
  body: KubeObject & { message?: string; reason?: string; items?: KubeObject[]; rows?: { cells: unknown[] }[]; resources?: { name: string; verbs: string[] }[]; groups?: { name: string; versions: { version: string }[] }[] };
}

describe('a custom resource definition', () => {
  let store: EmbeddedStore;
  let directory: string;
  let server: InProcessApiServer;
  let transport: Transport;
  let stop: AbortController;
  let running: Promise<void>;

  const begin = async (): Promise<void> => {
    stop = new AbortController();
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom(), store });
    running = server.run(stop.signal);
    await server.ready;
    transport = server.transport();
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-definitions-'));
    store = EmbeddedStore.open({ file: join(directory, 'store.db'), clock: new SystemClock() });
    await begin();
  });
  afterEach(async () => {
    await end();
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function send(method: ApiRequest['method'], path: string, body?: unknown, more: Partial<ApiRequest> = {}): Promise<Answer> {
    const answer = await transport.request({ method, path, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...more });
    return { code: answer.status, headers: answer.headers, body: JSON.parse(answer.body) };
  }
  const define = async (change?: (spec: CustomResourceDefinition['spec']) => void): Promise<CustomResourceDefinition> => {
    const { code, body } = await send('POST', definitions, definition(change));
    expect([code, body.message]).toEqual([201, undefined]);
    return body as unknown as CustomResourceDefinition;
  };

  it('is established, and its kind served, in the answer to its create', async () => {
    const { spec, status } = await define();
    expect(spec.names).toMatchObject({ singular: 'crontab', listKind: 'CronTabList' });
    expect(status).toMatchObject({ acceptedNames: { kind: 'CronTab', plural: 'crontabs', shortNames: ['ct'] }, storedVersions: ['v1'] });
    expect(status!.conditions!.map(({ type, status: value, reason }) => [type, value, reason])).toEqual([['NamesAccepted', 'True', 'NoConflicts'], ['Established', 'True', 'InitialNamesAccepted']]);
    const { code, body } = await send('POST', crontabs, crontab('mine'));
    expect([code, body.spec]).toEqual([201, { cronSpec: '* * * * */5', image: 'my-image', replicas: 1 }]);
    expect((await send('GET', crontabs)).body).toMatchObject({ kind: 'CronTabList', apiVersion: 'stable.example.com/v1', items: [{ metadata: { name: 'mine' } }] });
    expect((await send('GET', crontabs, undefined, { headers: asTable })).body.rows![0]!.cells.slice(0, 3)).toEqual(['mine', '* * * * */5', 1]);
  });

  it('is told in discovery and OpenAPI, whose tags change with it', async () => {
    const paths = ['/apis', '/openapi/v3', '/openapi/v2'];
    const tags = async (): Promise<(string | undefined)[]> => Promise.all(paths.map(async (path) => (await transport.request({ method: 'GET', path })).headers['etag']));
    const before = await tags();
    await define();
    const after = await tags();
    for (const [index, tag] of after.entries()) expect(tag).not.toBe(before[index]);
    const groups = (await send('GET', '/apis')).body.groups!.map(({ name }) => name);
    expect(groups.slice(-3)).toEqual(['stable.example.com', 'policy', 'metrics.k8s.io']);
    const { resources } = (await send('GET', '/apis/stable.example.com/v1')).body;
    expect(resources!.map(({ name }) => name)).toEqual(['crontabs', 'crontabs/status', 'crontabs/scale']);
    expect(JSON.stringify((await send('GET', '/openapi/v3/apis/stable.example.com/v1')).body)).toContain('A table of times');
    expect((await transport.request({ method: 'GET', path: '/openapi/v2' })).body).toContain('A table of times');
  });

  it('is served again by a server that starts, before it is ready', async () => {
    await define();
    await send('POST', crontabs, crontab('mine'));
    await end();
    await begin();
    expect((await send('GET', `${crontabs}/mine`)).code).toBe(200);
  });

  it.each<[string, (spec: CustomResourceDefinition['spec']) => void, string]>([
    ['without a storage version', (spec) => void (spec.versions[0]!.storage = false), 'spec.versions: Invalid value: ["v1"]: must have exactly one version marked as storage version'],
    ['in a group of the server', (spec) => void (spec.group = 'taskplane.dev'), 'spec.group: Invalid value: "taskplane.dev": the kinds of this group are those of the server; choose a domain of your own'],
    ['in a protected group', (spec) => void (spec.group = 'batch.k8s.io'), 'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'],
    ['in no domain', (spec) => void (spec.group = 'example'), 'spec.group: Invalid value: "example": should be a domain with at least one dot'],
    ['with a webhook', (spec) => void (spec.conversion = { strategy: 'Webhook' }), 'spec.conversion.strategy: Invalid value: "Webhook": this server calls no webhooks; use None: versions then differ in apiVersion and in the fields that their schemas know'],
    ['of no scope', (spec) => void (spec.scope = 'Planet'), 'spec.scope: Unsupported value: "Planet": supported values: "Cluster", "Namespaced"'],
    ['without a schema', (spec) => void delete spec.versions[0]!.schema, 'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required'],
    ['of equal kind and list kind', (spec) => void (spec.names.listKind = 'CronTab'), 'spec.names.listKind: Invalid value: "CronTab": kind and listKind may not be the same'],
    ['that keeps unknown fields', (spec) => void (spec.preserveUnknownFields = true), 'spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead'],
    ['whose schema is not structural', (spec) => void (spec.versions[0]!.schema = { openAPIV3Schema: { properties: { spec: { type: 'object' } } } }), 'spec.versions[0].schema.openAPIV3Schema.type: '],
    ['with a column that leads nowhere', (spec) => void (spec.versions[0]!.additionalPrinterColumns = [{ name: 'x', type: 'string', jsonPath: 'spec' }]), 'spec.versions[0].additionalPrinterColumns[0].jsonPath: '],
    ['with a scale outside of spec', (spec) => void (spec.versions[0]!.subresources = { scale: { specReplicasPath: '.a', statusReplicasPath: '.status.replicas' } }), 'spec.versions[0].subresources.scale.specReplicasPath: '],
  ])('is refused %s', async (_what, change, message) => {
    const { code, body } = await send('POST', definitions, definition(change));
    expect([code, body.reason]).toEqual([422, 'Invalid']);
    expect(body.message).toContain(message);
  });

  it('is refused under another name, and tells of unknown keywords', async () => {
    const named = definition() as KubeObject;
    named.metadata.name = 'tables.stable.example.com';
    expect((await send('POST', definitions, named)).body.message).toContain('metadata.name: Invalid value: "tables.stable.example.com": must be spec.names.plural+"."+spec.group');
    const odd = definition((spec) => void (spec.versions[0]!.schema!.openAPIV3Schema!['kind'] = 'x'));
    expect((await send('POST', definitions, odd, { query: { fieldValidation: 'Strict' } })).body.message).toContain('unknown field "spec.versions[0].schema.openAPIV3Schema.kind"');
  });

  it('waits for names that are taken, and gets them when they are free and it is written', async () => {
    await define();
    const other = (await send('POST', definitions, definition((spec) => void (spec.names = { ...spec.names, plural: 'tables', singular: 'table', shortNames: ['ct'] })))).body as unknown as CustomResourceDefinition;
    expect(other.status!.conditions).toMatchObject([{ type: 'NamesAccepted', status: 'False', reason: 'ListKindConflict' }, { type: 'Established', status: 'False', reason: 'NotAccepted' }]);
    expect((await send('GET', '/apis/stable.example.com/v1/tables')).code).toBe(404);
  });

  it('changes what is served at once, and keeps what may not change', async () => {
    await define();
    await send('POST', crontabs, crontab('mine', { cronSpec: '0 0 * * *', colour: 'red' }));
    const path = `${definitions}/crontabs.stable.example.com`;
    for (const patch of [{ spec: { scope: 'Cluster' } }, { spec: { names: { kind: 'Other' } } }]) {
      const { code, body } = await send('PATCH', path, patch, { headers: merge });
      expect([code, body.message]).toEqual([422, expect.stringContaining('field is immutable')]);
    }
    const version = structuredClone(v1);
    delete version.selectableFields;
    delete (version.schema!.openAPIV3Schema as { properties: { spec: { properties: Record<string, unknown> } } }).properties.spec.properties['colour'];
    const { code, body } = await send('PATCH', path, { spec: { versions: [version] } }, { headers: merge });
    expect([code, body.metadata.generation]).toEqual([200, 2]);
    expect((await send('GET', `${crontabs}/mine`)).body.spec).toEqual({ cronSpec: '0 0 * * *', replicas: 1 });
    expect((await send('PATCH', path, { spec: { versions: [{ ...version, name: 'v2' }] } }, { headers: merge })).body.message).toContain('status.storedVersions[0]: Invalid value: "v1": missing from spec.versions');
  });

  it('serves several versions: each keeps the fields that it knows, in the stored one', async () => {
    const beta: DefinitionVersion = { ...structuredClone(v1), name: 'v1beta1', storage: false, deprecated: true };
    beta.schema = { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { cronSpec: { type: 'string' }, image: { type: 'string' } } } } } };
    delete beta.selectableFields;
    delete beta.subresources;
    await define((spec) => spec.versions.unshift(beta));
    expect((await send('GET', '/apis')).body.groups!.find(({ name }) => name === 'stable.example.com')!.versions.map(({ version }) => version)).toEqual(['v1', 'v1beta1']);
    await send('POST', crontabs, crontab('mine', { cronSpec: '0 0 * * *', colour: 'red' }));
    const old = await send('GET', '/apis/stable.example.com/v1beta1/namespaces/default/crontabs/mine');
    expect(old.body).toMatchObject({ apiVersion: 'stable.example.com/v1beta1', spec: { cronSpec: '0 0 * * *' } });
    expect(old.body.spec).not.toHaveProperty('colour');
    expect(old.headers['warning']).toContain('stable.example.com/v1beta1 CronTab is deprecated');
    const made = await send('POST', '/apis/stable.example.com/v1beta1/namespaces/default/crontabs', crontab('other', { cronSpec: '0 0 * * *' }, 'v1beta1'));
    expect([made.code, made.body.apiVersion]).toEqual([201, 'stable.example.com/v1beta1']);
    expect((await send('GET', `${crontabs}/other`)).body).toMatchObject({ apiVersion: 'stable.example.com/v1', spec: { cronSpec: '0 0 * * *', replicas: 1 } });
    const stored = await store.read(objectStoreKey({ group: 'stable.example.com', plural: 'crontabs', namespaced: true }, 'other', 'default'));
    expect(JSON.parse(stored!.value)).toMatchObject({ apiVersion: 'stable.example.com/v1' });
  });

  it('rewrites what was stored in another version with a write that changes nothing', async () => {
    const v2: DefinitionVersion = { ...structuredClone(v1), name: 'v2', storage: false };
    await define((spec) => spec.versions.push(v2));
    const { body } = await send('POST', crontabs, crontab('mine'));
    const path = `${definitions}/crontabs.stable.example.com`;
    const moved = await send('PATCH', path, { spec: { versions: [{ ...v1, storage: false }, { ...v2, storage: true }] } }, { headers: merge });
    expect((moved.body as unknown as CustomResourceDefinition).status!.storedVersions).toEqual(['v1', 'v2']);
    const rewritten = await send('PATCH', `${crontabs}/mine`, {}, { headers: merge });
    expect(rewritten.body.metadata.resourceVersion).not.toBe(body.metadata.resourceVersion);
    const again = await send('PATCH', `${crontabs}/mine`, {}, { headers: merge });
    expect(again.body.metadata.resourceVersion).toBe(rewritten.body.metadata.resourceVersion);
    const forgotten = await send('PATCH', `${path}/status`, { status: { storedVersions: ['v2'] } }, { headers: merge });
    expect((forgotten.body as unknown as CustomResourceDefinition).status!.storedVersions).toEqual(['v2']);
    expect((await send('PATCH', path, { spec: { versions: [{ ...v2, storage: true }] } }, { headers: merge })).code).toBe(200);
    expect((await send('GET', `${crontabs}/mine`)).code).toBe(404);
    expect((await send('GET', '/apis/stable.example.com/v2/namespaces/default/crontabs/mine')).body.apiVersion).toBe('stable.example.com/v2');
  });

  it('keeps status and spec apart, and refuses what the schema does', async () => {
    await define();
    await send('POST', crontabs, { ...crontab('mine'), status: { replicas: 9 } });
    const status = await send('PATCH', `${crontabs}/mine/status`, { spec: { cronSpec: 'x' }, status: { replicas: 2 } }, { headers: merge });
    expect(status.body).toMatchObject({ metadata: { generation: 1 }, spec: { cronSpec: '* * * * */5' }, status: { replicas: 2 } });
    expect((await send('PATCH', `${crontabs}/mine`, { spec: { image: 'b' } }, { headers: merge })).body).toMatchObject({ metadata: { generation: 2 }, status: { replicas: 2 } });
    const wrong = await send('POST', crontabs, crontab('wrong', { cronSpec: 'never', replicas: 11 }));
    expect([wrong.code, wrong.body.reason]).toEqual([422, 'Invalid']);
    expect(wrong.body.message).toMatch(/CronTab\.stable\.example\.com "wrong" is invalid: .*spec\.cronSpec: Invalid value: "never".*spec\.replicas: Invalid value: 11/);
    const strategic = await send('PATCH', `${crontabs}/mine`, {}, { headers: { 'content-type': 'application/strategic-merge-patch+json' } });
    expect(strategic.code).toBe(415);
    expect((await send('POST', crontabs, crontab('odd', { bogus: 1 }), { query: { fieldValidation: 'Strict' } })).code).toBe(400);
  });

  it('and its objects are replaced only by who says which version the new one was made from', async () => {
    await define();
    await send('POST', crontabs, crontab('mine'));
    const path = `${crontabs}/mine`;
    const refused = await send('PUT', path, crontab('mine'));
    expect([refused.code, refused.body.reason, refused.body.message]).toEqual([422, 'Invalid', 'crontabs.stable.example.com "mine" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update']);
    expect((await send('PUT', `${path}/status`, crontab('mine'))).code).toBe(422);
    expect((await send('PUT', `${definitions}/crontabs.stable.example.com`, definition())).code).toBe(422);
    expect((await send('PATCH', path, { metadata: { resourceVersion: null } }, { headers: merge })).code).toBe(422);
    const { body } = await send('GET', path);
    expect((await send('PUT', path, { ...body, spec: { image: 'b' } })).code).toBe(200);
    expect((await send('PUT', path, { ...body, spec: { image: 'c' } })).code).toBe(409);
    expect((await send('PATCH', path, { spec: { image: 'd' } }, { headers: merge })).code).toBe(200);
  });

  it('scales', async () => {
    await define();
    await send('POST', crontabs, crontab('mine'));
    await send('PATCH', `${crontabs}/mine/status`, { status: { replicas: 1, labelSelector: 'a=b' } }, { headers: merge });
    const scale = (await send('GET', `${crontabs}/mine/scale`)).body;
    expect(scale).toMatchObject({ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'mine', namespace: 'default' }, spec: { replicas: 1 }, status: { replicas: 1, selector: 'a=b' } });
    const put = await send('PUT', `${crontabs}/mine/scale`, { ...scale, spec: { replicas: 3 } });
    expect([put.code, put.body.spec]).toEqual([200, { replicas: 3 }]);
    expect((await send('PUT', `${crontabs}/mine/scale`, { ...scale, spec: { replicas: 4 } })).code).toBe(409);
    expect((await send('PATCH', `${crontabs}/mine/scale`, { spec: { replicas: 5 } }, { headers: merge })).body.spec).toEqual({ replicas: 5 });
    expect((await send('PATCH', `${crontabs}/mine/scale`, { spec: { replicas: -1 } }, { headers: merge })).body.message).toBe('Scale.autoscaling "mine" is invalid: spec.replicas: Invalid value: -1: should be a non-negative integer');
    expect((await send('PATCH', `${crontabs}/mine/scale`, { spec: { replicas: 11 } }, { headers: merge })).code).toBe(422);
    expect((await send('GET', `${crontabs}/mine`)).body).toMatchObject({ metadata: { generation: 3 }, spec: { replicas: 5 } });
  });

  it('scales by server-side apply, whose fields are owned through scale', async () => {
    await define();
    const apply = (path: string, body: object, query: Record<string, string | boolean>): Promise<Answer> => send('PATCH', path, body, { headers: { 'content-type': 'application/apply-patch+yaml' }, query });
    const scale = (replicas: number, more: object = {}): object => ({ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'mine' }, spec: { replicas }, ...more });
    expect((await apply(`${crontabs}/mine/scale`, scale(2), { fieldManager: 'scaler' })).code).toBe(404);
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
    await apply(`${crontabs}/mine`, { ...crontab('mine', { cronSpec: '* * * * */5', replicas: 2 }), metadata: { name: 'mine', annotations } }, { fieldManager: 'user' });
    const refused = await apply(`${crontabs}/mine/scale`, scale(3), { fieldManager: 'kubectl' });
    expect([refused.code, refused.body.message]).toEqual([409, 'Apply failed with 1 conflict: conflict with "user": .spec.replicas']);
    const scaled = await apply(`${crontabs}/mine/scale`, scale(3), { fieldManager: 'kubectl', force: true });
    expect([scaled.code, scaled.body]).toMatchObject([200, { kind: 'Scale', spec: { replicas: 3 } }]);
    const { metadata, ...rest } = (await send('GET', `${crontabs}/mine`)).body;
    expect(rest).toMatchObject({ spec: { cronSpec: '* * * * */5', replicas: 3 } });
    expect(metadata.annotations).toEqual(annotations);
    expect(metadata.managedFields!.find(({ subresource }) => subresource === 'scale')).toMatchObject({ manager: 'kubectl', operation: 'Apply', apiVersion: 'stable.example.com/v1', fieldsV1: { 'f:spec': { 'f:replicas': {} } } });
    expect((await apply(`${crontabs}/mine/scale`, scale(3, { other: 1 }), { fieldManager: 'kubectl' })).code).toBe(400);
    expect((await apply(`${crontabs}/mine/scale`, crontab('mine'), { fieldManager: 'kubectl' })).code).toBe(400);
    expect((await apply(`${crontabs}/mine/scale`, scale(-1), { fieldManager: 'kubectl' })).code).toBe(422);
    expect((await apply(`${crontabs}/mine/scale`, scale(3, { metadata: { name: 'mine', resourceVersion: '1' } }), { fieldManager: 'kubectl' })).code).toBe(409);
    expect((await apply(`${crontabs}/mine/scale`, scale(3), {})).code).toBe(422);
  });

  it('lets field selectors name the fields it offers, and no others', async () => {
    await define();
    await send('POST', crontabs, crontab('red', { colour: 'red' }));
    await send('POST', crontabs, crontab('blue', { colour: 'blue' }));
    const chosen = await send('GET', crontabs, undefined, { query: { fieldSelector: 'spec.colour=blue' } });
    expect(chosen.body.items!.map(({ metadata }) => metadata.name)).toEqual(['blue']);
    expect((await send('GET', crontabs, undefined, { query: { fieldSelector: 'spec.image=x' } })).code).toBe(400);
  });

  it('ends the watches of a version that goes, and is then not found', async () => {
    await define((spec) => void spec.versions.push({ ...structuredClone(v1), name: 'v2', storage: false }));
    const { chunks } = await transport.stream({ method: 'GET', path: '/apis/stable.example.com/v2/crontabs', query: { watch: true } });
    const read = (async () => {
      const seen: string[] = [];
      for await (const chunk of chunks) seen.push(chunk.toString());
      return seen.join('');
    })();
    await send('POST', crontabs, crontab('mine'));
    await send('PATCH', `${definitions}/crontabs.stable.example.com`, { spec: { versions: [v1] } }, { headers: merge });
    expect(JSON.parse(await read)).toMatchObject({ type: 'ADDED', object: { apiVersion: 'stable.example.com/v2', metadata: { name: 'mine' } } });
    expect((await send('GET', '/apis/stable.example.com/v2/crontabs')).code).toBe(404);
  });

  it('takes no new objects while it is being deleted, and waits for its cleanup', async () => {
    await define();
    await send('POST', crontabs, crontab('mine'));
    const path = `${definitions}/crontabs.stable.example.com`;
    const deleted = (await send('DELETE', path)).body as unknown as CustomResourceDefinition;
    expect(deleted.metadata).toMatchObject({ deletionTimestamp: expect.any(String), finalizers: ['customresourcecleanup.apiextensions.k8s.io'] });
    expect(deleted.status!.conditions!.at(-1)).toMatchObject({ type: 'Terminating', status: 'True', reason: 'InstanceDeletionPending' });
    const refused = await send('POST', crontabs, crontab('late'));
    expect([refused.code, refused.body.message]).toEqual([405, 'create not allowed while custom resource definition is terminating']);
    expect((await send('GET', '/apis/stable.example.com/v1')).body.resources![0]!.verbs).toEqual(['delete', 'deletecollection', 'get', 'list', 'watch']);
    expect((await send('DELETE', `${crontabs}/mine`)).code).toBe(200);
    await send('PATCH', path, { metadata: { finalizers: null } }, { headers: merge });
    expect((await send('GET', crontabs)).code).toBe(404);
  });

  it('is served by every API server on the store', async () => {
    const other = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom(), store });
    const following = other.run(stop.signal);
    await other.ready;
    await define();
    await other.cache.fresh();
    const there = await other.transport().request({ method: 'POST', path: crontabs, body: JSON.stringify(crontab('mine')) });
    expect(there.status).toBe(201);
    expect((await send('GET', `${crontabs}/mine`)).code).toBe(200);
    stop.abort();
    await following;
  });

  it('does not get the names of one that another API server has acknowledged, however far behind this one is', async () => {
    let caughtUp = Promise.resolve();
    const lagging: Store = {
      read: (key) => store.read(key),
      list: (prefix, options) => store.list(prefix, options),
      write: (write) => store.write(write),
      async *watch(...args) {
        for await (const changes of store.watch(...args)) {
          await caughtUp;
          yield changes;
        }
      },
      currentRevision: () => store.currentRevision(),
      presence: store.presence,
      close: () => Promise.resolve(),
    };
    const other = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom(), store: lagging });
    const following = other.run(stop.signal);
    await other.ready;
    const gate = new Deferred<void>();
    caughtUp = gate.promise;
    await define();
    const second = other.transport().request({ method: 'POST', path: definitions, body: JSON.stringify(definition((spec) => Object.assign(spec.names, { plural: 'others', singular: 'other', kind: 'Other' }))) });
    // A write, if there is one, would have come by now.
    await store.currentRevision();
    await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    const { status } = JSON.parse((await second).body) as CustomResourceDefinition;
    expect(status!.conditions!.find(({ type }) => type === 'NamesAccepted')).toMatchObject({ status: 'False', reason: 'ShortNamesConflict' });
    stop.abort();
    await following;
  });

  it('is not for agents', async () => {
    await define();
    transport = server.transport(agentUser('m1'));
    expect((await send('GET', definitions)).code).toBe(403);
    expect((await send('GET', crontabs)).code).toBe(403);
    expect((await send('DELETE', `${definitions}/crontabs.stable.example.com`)).code).toBe(403);
  });
});
