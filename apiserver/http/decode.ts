// decode.ts: what the client sent, as a value. Nothing of it is trusted: not its type, size, depth or encoding.

import { isUtf8 } from 'node:buffer';
import { isPair, isScalar, isSeq, parseDocument, visit, type Document } from 'yaml';
import { ApiError, badRequest } from '../../api/errors.js';
import type { KubeObject } from '../../api/meta.js';
import type { PatchType } from '../resources/service.js';
import { decodeProtobuf, protobufType } from './protobuf/decode.js';
import { countKeys, findRepeatedKeys, noteRepeatedFields } from '../resources/repeated-keys.js';

/** An object's body; beyond it 413, as the Kubernetes API server has it. */
export const bodyBytesMax = 3 * 1024 * 1024;
/** A bulk request's body. */
export const bulkBodyBytesMax = 64 * 1024 * 1024;
/** What agents send in bulk, 2 KiB for each of the most items: reading 64 MiB of the worst JSON holds up everybody for ten seconds. */
export const reportBodyBytesMax = 10 * 1024 * 1024;
/** A YAML body: reading it takes a hundred times as long as reading JSON, and everybody else waits meanwhile. */
export const yamlBytesMax = 256 * 1024;
/** Mappings and lists inside each other: far beyond any real object, far below what exhausts the stack of the walks that follow. */
export const depthMax = 200;

const yamlTypes = new Set(['application/yaml', 'text/yaml', 'application/x-yaml', 'text/x-yaml']);

export const patchTypes: readonly PatchType[] = [
  'application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml',
];

/** `application/json; charset=utf-8` -> `application/json`; empty when absent. */
export function mediaType(contentType: string | undefined): string {
  if (contentType === 'application/json') return contentType;
  return (contentType ?? '').split(';')[0]!.trim().toLowerCase();
}

/** The value of a JSON, YAML or protobuf body; a missing content type is JSON. @throws ApiError BadRequest, UnsupportedMediaType */
export function decodeBody(body: Buffer, contentType: string | undefined): unknown {
  const type = mediaType(contentType);
  if (type === '' || type === 'application/json') return parseJson(body);
  if (yamlTypes.has(type)) return parseYaml(body);
  if (type === protobufType) return decodeProtobuf(body);
  throw unsupported(contentType ?? '', ['application/json', 'application/yaml', protobufType]);
}

/** @throws ApiError UnsupportedMediaType that names the types there are */
export function patchType(contentType: string | undefined): PatchType {
  const type = mediaType(contentType);
  const known = patchTypes.find((patch) => patch === type);
  if (!known) throw unsupported(contentType ?? '', patchTypes);
  return known;
}

/** The value of a patch: apply patches are YAML (which JSON is part of), all others JSON. */
export function decodePatch(body: Buffer, type: PatchType): unknown {
  const patch = type === 'application/apply-patch+yaml' ? parseJsonOrYaml(body) : parseJson(body);
  const listed = type === 'application/json-patch+json';
  if (Array.isArray(patch) !== listed || typeof patch !== 'object' || patch === null) {
    throw badRequest(`a patch of type ${type} must be ${listed ? 'a list of operations' : 'a mapping'}`);
  }
  return patch;
}

function unsupported(contentType: string, accepted: readonly string[]): ApiError {
  const shown = JSON.stringify(contentType.slice(0, 100));
  return new ApiError('UnsupportedMediaType', `the body of the request was in an unknown format (${shown}) - accepted media types include: ${accepted.join(', ')}`);
}

function textOf(body: Buffer): string {
  if (body.length === 0) throw badRequest('the body of the request is empty');
  if (!isUtf8(body)) throw badRequest('the body of the request is not UTF-8');
  return body.toString('utf8');
}

function parseJson(body: Buffer): unknown {
  const text = textOf(body);
  const { depth, keys } = measured(body);
  if (depth > depthMax) throw tooDeep();
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch (error) {
    throw badRequest(`the body of the request is not JSON: ${(error as Error).message}`);
  }
  if (body.length <= bodyBytesMax && countKeys(value) !== keys) noteRepeatedFields(value, findRepeatedKeys(text));
  return value;
}

function parseYaml(body: Buffer): unknown {
  if (body.length > yamlBytesMax) throw new ApiError('RequestEntityTooLarge', `the body of the request is too large: at most ${yamlBytesMax} bytes of YAML are allowed; send JSON`);
  const text = textOf(body);
  let value: unknown;
  let repeated: string[];
  try {
    // The library compares each key with each other one.
    const document = parseDocument(text, { version: '1.1', merge: true, prettyErrors: true, uniqueKeys: false, maxAliasCount: 100 } as Parameters<typeof parseDocument>[1]);
    if (document.errors[0]) throw document.errors[0];
    repeated = repeatedKeys(document);
    value = document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep();
    throw badRequest(`the body of the request is not YAML: ${(error as Error).message.split('\n')[0]}`);
  }
  if (valueDepth(value) > depthMax) throw tooDeep();
  // Dates, byte strings and shared nodes become what JSON would have held.
  const plain = JSON.parse(JSON.stringify(value ?? null)) as unknown;
  noteRepeatedFields(plain, repeated);
  return plain;
}

const repeatedShownMax = 100;

/** Paths of keys that are said twice; the last one counts. */
function repeatedKeys(document: Document): string[] {
  const found: string[] = [];
  visit(document, {
    Map(_, map, ancestors) {
      const seen = new Set<unknown>();
      for (const pair of map.items) {
        const key = isScalar(pair.key) ? pair.key.value : pair.key;
        if (seen.has(key) && key !== '<<' && found.length < repeatedShownMax) found.push(yamlPath([...ancestors, map, pair]));
        seen.add(key);
      }
    },
  });
  return found;
}

function yamlPath(nodes: readonly unknown[]): string {
  let path = '';
  nodes.forEach((node, index) => {
    if (isPair(node)) {
      const key = String(isScalar(node.key) ? node.key.value : node.key);
      path += path === '' ? key : `.${key}`;
    } else if (isSeq(node) && index + 1 < nodes.length) {
      path += `[${node.items.indexOf(nodes[index + 1])}]`;
    }
  });
  return path;
}

/** Server-side apply sends JSON text under a YAML type: try the fast reader first. */
function parseJsonOrYaml(body: Buffer): unknown {
  return body[0] === 0x7b ? parseJson(body) : parseYaml(body);
}

function tooDeep(): ApiError {
  return badRequest(`the body of the request is nested more than ${depthMax} levels deep`);
}

/** How deep JSON text nests and how many keys it says, without parsing it. */
function measured(body: Buffer): { depth: number; keys: number } {
  let depth = 0;
  let deepest = 0;
  let keys = 0;
  let quoted = false;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i];
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x3a) keys++;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return { depth: deepest, keys };
}

const levelItemsMax = 1_000_000;

/** Level by level, so that it needs no stack. Aliases may share nodes or form rings: what explodes counts as too deep. */
function valueDepth(value: unknown): number {
  let level: unknown[] = [value];
  let depth = 0;
  while (depth <= depthMax) {
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : [])).filter((item) => typeof item === 'object' && item !== null);
    depth++;
    if (level.length === 0) return depth;
    if (level.length > levelItemsMax) break;
  }
  return depthMax + 1;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What the body of a write is taken for; whether it is one, the resource layer finds out. @throws ApiError BadRequest */
export function asObject(value: unknown): KubeObject {
  if (!isMapping(value)) throw badRequest('the body of the request must be a mapping with apiVersion, kind and metadata');
  return value as KubeObject;
}
