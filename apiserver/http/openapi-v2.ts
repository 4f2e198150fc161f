// openapi-v2.ts
//
// OpenAPI v2 as kubectl before 1.29 reads it: gnostic's protobuf form only. Written by hand, because the few messages
// needed are shorter than their generated code; field numbers are those of gnostic's OpenAPIv2.proto.
// https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto

import type { KindDefinition } from '../../api/kind.js';
import type { ServedKinds } from '../../api/kind-registry.js';
import type { SchemaNode } from '../../api/schema.js';
import { cachedText, conditionalReply, type CachedText } from './discovery.js';
import type { ServerReply, ServerRequest } from './message.js';
import { groupVersionKind, operationsOf, restOf, schemaName, type Operation } from './openapi-v3.js';
import { field, message, text } from './protobuf.js';

/** Clients ask for `…v2@v1.0+protobuf`, but `@` has no place in a media type and their own reader refuses it. */
const protobufType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

export class OpenApiV2 {
  #document: CachedText | undefined;
  /** Of the kinds that the document was made of. */
  #revision = -1;
  readonly #kinds: ServedKinds;
  readonly #version: string;

  constructor(options: { kinds: ServedKinds; version: string }) {
    this.#kinds = options.kinds;
    this.#version = options.version;
  }

  handle(request: ServerRequest): ServerReply {
    if (this.#document === undefined || this.#revision !== this.#kinds.revision) {
      this.#document = cachedText(documentOf(this.#kinds.kinds, this.#version));
      this.#revision = this.#kinds.revision;
    }
    return conditionalReply(request, this.#document, { 'content-type': protobufType });
  }
}

function documentOf(kinds: readonly KindDefinition[], version: string): Buffer {
  const info = message(text(1, 'Taskplane'), text(2, version));
  const parts = kinds.map(partsOf);
  return message(text(1, '2.0'), field(2, info), field(8, message(...parts.map(({ paths }) => paths))), field(9, message(...parts.map(({ definition }) => definition))));
}

interface KindParts {
  paths: Buffer;
  definition: Buffer;
}

/** What was made of each kind: one more kind costs its own part only. */
const made = new WeakMap<KindDefinition, KindParts>();

function partsOf(kind: KindDefinition): KindParts {
  let parts = made.get(kind);
  if (!parts) {
    const paths = message(...pathItems(kind).map(([path, item]) => field(2, message(text(1, path), field(2, item)))));
    made.set(kind, (parts = { paths, definition: field(1, namedSchema(schemaName(kind), definitionOf(kind))) }));
  }
  return parts;
}

const methodFields: Record<Operation['method'], number> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

function pathItems(kind: KindDefinition): [string, Buffer][] {
  const items = new Map<string, Buffer[]>();
  for (const operation of operationsOf(kind)) {
    const parts = items.get(operation.path) ?? [];
    parts.push(field(methodFields[operation.method], operationOf(operation, kind)));
    items.set(operation.path, parts);
  }
  return [...items].map(([path, parts]) => [path, message(...parts)]);
}

function operationOf(operation: Operation, kind: KindDefinition): Buffer {
  const parameters = operation.parameters
    .filter((parameter) => parameter.in === 'query')
    .map(({ name, type, description }) => {
      const inQuery = message(text(2, 'query'), text(3, description), text(4, name), text(6, type));
      return field(8, message(field(1, message(field(2, message(field(3, inQuery)))))));
    });
  return message(text(5, operation.id), ...parameters, field(13, extension('x-kubernetes-group-version-kind', groupVersionKind(kind))), field(13, extension('x-kubernetes-action', operation.action)));
}

/** NamedAny: the value is YAML text, and JSON is YAML. */
function extension(name: string, value: unknown): Buffer {
  return message(text(1, name), field(2, message(text(2, JSON.stringify(value)))));
}

function definitionOf(kind: KindDefinition): Buffer {
  return message(schemaOf({ ...(kind.schema.openApiV2?.() ?? kind.schema.root), description: kind.description }), field(31, extension('x-kubernetes-group-version-kind', [groupVersionKind(kind)])));
}

function namedSchema(name: string, schema: Buffer): Buffer {
  return message(text(1, name), field(2, schema));
}

const extensions = ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-map-type'];

function schemaOf(node: SchemaNode): Buffer {
  const only = node.anyOf?.filter((choice) => choice.type !== 'null');
  if (only?.length === 1) return schemaOf({ ...only[0]!, ...(node.description ? { description: node.description } : {}) });
  const parts: Buffer[] = [];
  if (node['x-kubernetes-int-or-string']) parts.push(text(2, 'int-or-string'));
  else if (node.format) parts.push(text(2, node.format));
  if (node.description) parts.push(text(4, node.description));
  for (const name of node.required ?? []) parts.push(text(19, name));
  for (const value of node.enum ?? []) parts.push(field(20, message(text(2, JSON.stringify(value)))));
  const rest = restOf(node);
  if (rest) parts.push(field(21, message(field(1, schemaOf(rest)))));
  const type = node['x-kubernetes-int-or-string'] ? 'string' : node.type;
  if (type) parts.push(field(22, message(text(1, type))));
  if (node.items) parts.push(field(23, message(field(1, schemaOf(node.items)))));
  const properties = Object.entries(node.properties ?? {});
  if (properties.length > 0) parts.push(field(25, message(...properties.map(([name, child]) => field(1, namedSchema(name, schemaOf(child)))))));
  for (const name of extensions) if (node[name]) parts.push(field(31, extension(name, node[name])));
  return message(...parts);
}

