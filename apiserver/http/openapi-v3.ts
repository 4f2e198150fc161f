// openapi-v3.ts
//
// The schema of every kind for `kubectl explain`, client-side checks and editors, and the one fact that makes kubectl leave
// validation to us: a PATCH operation that takes fieldValidation.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3

import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { ServedKinds } from '../../api/kind-registry.js';
import { collectionPath } from '../../api/kinds.js';
import type { SchemaNode } from '../../api/schema.js';
import { cachedText, conditionalReply, type CachedText } from './discovery.js';
import { unknownPath } from './errors.js';
import type { ServerReply, ServerRequest } from './message.js';
import { patchTypes } from './decode.js';
import { defaultVerbs } from './subresources.js';

export class OpenApiV3 {
  /** By path below /openapi/v3: `api/v1`, `apis/taskplane.dev/v1`. */
  #documents = new Map<string, Document>();
  #index: CachedText | undefined;
  /** Of the kinds that they were made of. */
  #revision = -1;
  readonly #kinds: ServedKinds;
  readonly #version: string;

  constructor(options: { kinds: ServedKinds; version: string }) {
    this.#kinds = options.kinds;
    this.#version = options.version;
  }

  /** @param path what follows /openapi/v3; empty for the index. @throws ApiError NotFound */
  handle(path: string, request: ServerRequest): ServerReply {
    if (this.#revision !== this.#kinds.revision) this.#makeDocuments();
    if (path === '') return conditionalReply(request, (this.#index ??= indexOf(this.#documents)));
    const document = this.#documents.get(path)?.text;
    if (!document) throw unknownPath();
    // Under its hash a document never changes, so clients may keep it for good.
    const forever = request.query.get('hash') === document.hash;
    return conditionalReply(request, document, forever ? { 'cache-control': 'public, immutable, max-age=31536000', expires: 'Fri, 31 Dec 9999 23:59:59 GMT' } : {});
  }

  /** A group version whose kinds are the same keeps its text. */
  #makeDocuments(): void {
    const byPath = new Map<string, KindDefinition[]>();
    for (const kind of this.#kinds.kinds) {
      const path = kind.group ? `apis/${apiVersionOf(kind)}` : `api/${kind.version}`;
      const kinds = byPath.get(path);
      if (kinds) kinds.push(kind);
      else byPath.set(path, [kind]);
    }
    const before = this.#documents;
    this.#documents = new Map(
      [...byPath].map(([path, kinds]) => {
        const known = before.get(path);
        if (known && known.kinds.length === kinds.length && known.kinds.every((kind, index) => kind === kinds[index])) return [path, known];
        return [path, { kinds, text: cachedText(JSON.stringify(documentOf(kinds, this.#version))) }];
      }),
    );
    this.#index = undefined;
    this.#revision = this.#kinds.revision;
  }
}

interface Document {
  kinds: readonly KindDefinition[];
  text: CachedText;
}

function indexOf(documents: Map<string, Document>): CachedText {
  const paths = Object.fromEntries([...documents].map(([path, { text }]) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${text.hash}` }]));
  return cachedText(JSON.stringify({ paths }));
}

/** `io.taskplane.v1.Task`, `io.k8s.api.core.v1.Node`: as Kubernetes names its own. */
export function schemaName(kind: KindDefinition): string {
  const group = kind.group === '' ? 'io.k8s.api.core' : kind.group.endsWith('.k8s.io') ? `io.k8s.api.${kind.group.replace('.k8s.io', '')}` : kind.group.split('.').reverse().join('.');
  return `${group}.${kind.version}.${kind.kind}`;
}

export const groupVersionKind = ({ group, version, kind }: { group: string; version: string; kind: string }): { group: string; version: string; kind: string } => ({ group, version, kind });

function documentOf(kinds: readonly KindDefinition[], version: string): unknown {
  const schemas: Record<string, unknown> = {};
  const paths: Record<string, unknown> = {};
  for (const kind of kinds) {
    schemas[schemaName(kind)] = { ...schemaOf(kind), 'x-kubernetes-group-version-kind': [groupVersionKind(kind)] };
    Object.assign(paths, pathsOf(kind));
  }
  return { openapi: '3.0.0', info: { title: 'Taskplane', version }, paths, components: { schemas } };
}

/** A kind's own schema, in the dialect of OpenAPI 3.0. */
function schemaOf(kind: KindDefinition): Record<string, unknown> {
  return { ...toOpenApi(kind.schema.root), description: kind.description };
}

const passedOn = [
  'type', 'title', 'description', 'default', 'example', 'externalDocs', 'enum', 'format', 'nullable', 'pattern', 'minimum', 'maximum', 'multipleOf', 'minLength', 'maxLength', 'minItems', 'maxItems', 'uniqueItems',
  'minProperties', 'maxProperties', 'required', 'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-int-or-string', 'x-kubernetes-embedded-resource', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type', 'x-kubernetes-validations',
] as const;

/** OpenAPI 3.0 knows no null type, no patternProperties, and no free choice of types: nullable, additionalProperties, int-or-string. */
export function toOpenApi(node: SchemaNode): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of passedOn) if (node[key] !== undefined) result[key] = node[key];
  // A number in JSON Schema of today.
  for (const key of ['exclusiveMinimum', 'exclusiveMaximum']) if (typeof node[key] === 'boolean') result[key] = node[key];
  if (node.anyOf) Object.assign(result, anyOf(node, result));
  for (const key of ['allOf', 'oneOf'] as const) {
    const parts = node[key] as readonly SchemaNode[] | undefined;
    if (parts) result[key] = parts.map(toOpenApi);
  }
  if (node['not']) result['not'] = toOpenApi(node['not'] as SchemaNode);
  if (node.properties) result['properties'] = Object.fromEntries(Object.entries(node.properties).map(([key, child]) => [key, toOpenApi(child)]));
  if (node.items) result['items'] = toOpenApi(node.items);
  const rest = restOf(node);
  if (rest) result['additionalProperties'] = toOpenApi(rest);
  else if (node.additionalProperties === true) result['additionalProperties'] = true;
  return result;
}

function anyOf(node: SchemaNode, result: Record<string, unknown>): Record<string, unknown> {
  const choices = node.anyOf!.filter((choice) => choice.type !== 'null');
  const mayBeNull = choices.length < node.anyOf!.length;
  const nullable = mayBeNull ? { nullable: true } : {};
  if (node['x-kubernetes-int-or-string']) return { anyOf: choices.map(({ type }) => ({ type })), ...nullable };
  return mayBeNull && choices.length === 1 ? { ...toOpenApi(choices[0]!), ...result, ...nullable } : { anyOf: choices.map(toOpenApi), ...nullable };
}

export function restOf(node: SchemaNode): SchemaNode | undefined {
  if (typeof node.additionalProperties === 'object') return node.additionalProperties;
  return node.patternProperties ? Object.values(node.patternProperties)[0] : undefined;
}

interface Parameter {
  name: string;
  in: 'query' | 'path';
  type: 'string' | 'integer' | 'boolean';
  description: string;
  required?: boolean;
}

const query = (name: string, type: Parameter['type'], description: string): Parameter => ({ name, in: 'query', type, description });

export const writeParameters: readonly Parameter[] = [
  query('dryRun', 'string', 'All: do everything but store the result.'),
  query('fieldManager', 'string', 'Name of the program that writes.'),
  query('fieldValidation', 'string', 'What to do about unknown fields: Strict (refuse), Warn or Ignore.'),
];
const patchParameters: readonly Parameter[] = [...writeParameters, query('force', 'boolean', 'Take over fields that another manager applied.')];
const listParameters: readonly Parameter[] = [
  query('labelSelector', 'string', 'Only objects with these labels.'),
  query('fieldSelector', 'string', 'Only objects with these fields.'),
  query('limit', 'integer', 'At most this many objects; the reply says how to go on.'),
  query('continue', 'string', 'Where the last reply ended.'),
  query('resourceVersion', 'string', 'How fresh the reply must be.'),
  query('resourceVersionMatch', 'string', 'How resourceVersion is meant.'),
  query('watch', 'boolean', 'Stream changes instead of listing.'),
  query('allowWatchBookmarks', 'boolean', 'Send bookmarks in the stream.'),
  query('sendInitialEvents', 'boolean', 'Begin the stream with the present objects.'),
  query('timeoutSeconds', 'integer', 'End the stream after so many seconds.'),
];
const deleteParameters: readonly Parameter[] = [
  query('dryRun', 'string', 'All: do everything but delete.'),
  query('gracePeriodSeconds', 'integer', 'Seconds between SIGTERM and SIGKILL.'),
  query('propagationPolicy', 'string', 'What becomes of objects that belong to this one: Background, Foreground or Orphan.'),
];

/** Operations of a kind by path and method, shared with OpenAPI v2. */
export interface Operation {
  path: string;
  method: 'get' | 'put' | 'post' | 'delete' | 'patch';
  id: string;
  action: string;
  parameters: readonly Parameter[];
  body: boolean;
}

export function operationsOf(kind: KindDefinition): Operation[] {
  const verbs = kind.verbs ?? defaultVerbs;
  const collection = collectionPath(kind, kind.namespaced ? '{namespace}' : undefined).replace('%7Bnamespace%7D', '{namespace}');
  const name: Parameter = { name: 'name', in: 'path', type: 'string', description: `Name of the ${kind.kind}.`, required: true };
  const scope: Parameter[] = kind.namespaced ? [{ name: 'namespace', in: 'path', type: 'string', description: 'Namespace.', required: true }] : [];
  const where = `${kind.namespaced ? 'Namespaced' : ''}${kind.kind}`;
  const all: (Operation & { verb: string })[] = [
    { verb: 'list', path: collection, method: 'get', id: `list${where}`, action: 'list', parameters: [...scope, ...listParameters], body: false },
    { verb: 'create', path: collection, method: 'post', id: `create${where}`, action: 'post', parameters: [...scope, ...writeParameters], body: true },
    { verb: 'get', path: `${collection}/{name}`, method: 'get', id: `read${where}`, action: 'get', parameters: [...scope, name], body: false },
    { verb: 'update', path: `${collection}/{name}`, method: 'put', id: `replace${where}`, action: 'put', parameters: [...scope, name, ...writeParameters], body: true },
    { verb: 'patch', path: `${collection}/{name}`, method: 'patch', id: `patch${where}`, action: 'patch', parameters: [...scope, name, ...patchParameters], body: true },
    { verb: 'delete', path: `${collection}/{name}`, method: 'delete', id: `delete${where}`, action: 'delete', parameters: [...scope, name, ...deleteParameters], body: false },
  ];
  return all.filter(({ verb }) => (verbs as readonly string[]).includes(verb));
}

/** A client that sees strategic merge among the patch types of a kind that it does not know would send one. */
export function patchTypesOf(kind: KindDefinition): readonly string[] {
  return kind.group === '' ? patchTypes : patchTypes.filter((type) => type !== 'application/strategic-merge-patch+json');
}

function pathsOf(kind: KindDefinition): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  const reference = { $ref: `#/components/schemas/${schemaName(kind)}` };
  for (const { path, method, id, action, parameters, body } of operationsOf(kind)) {
    const types = method === 'patch' ? patchTypesOf(kind) : ['application/json', 'application/yaml'];
    const schema = method === 'patch' ? { type: 'object' } : reference;
    (paths[path] ??= {})[method] = {
      operationId: id,
      tags: [kind.group || 'core'],
      parameters: parameters.map(({ type, ...parameter }) => ({ ...parameter, schema: { type } })),
      ...(body ? { requestBody: { required: true, content: Object.fromEntries(types.map((mediaType) => [mediaType, { schema }])) } } : {}),
      responses: { 200: { description: 'OK', content: { 'application/json': { schema: reference } } } },
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': groupVersionKind(kind),
    };
  }
  return paths;
}
