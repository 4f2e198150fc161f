// fields.ts
//
// Fields that a schema does not know, defaults, and nulls: what is done to an object before it is looked at. In place.
//
//   additionalProperties: true                     the values below are known, their own fields are not
//   x-kubernetes-preserve-unknown-fields: true     everything may stay; fields that the schema does name are walked as ever
//   x-kubernetes-embedded-resource: true           apiVersion, kind and metadata are known
//   null                                           stays where nullable; else the default takes its place, or it goes
//
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning

import { childPath, copyOf, isMapping, keyPath, type Mapping } from './json.js';
import { fieldNode, restNode, typeAndObjectMeta, type StructuralNode } from './node.js';

export type UnknownFieldFound = (path: string, owner: Mapping, key: string) => void;

/**
 * Calls `found` for every field that the schema does not know; it may delete them. `metadata` walks the metadata of the object and
 * of those embedded in it.
 */
export function walkUnknown(node: StructuralNode | undefined, value: unknown, path: string, found: UnknownFieldFound, metadata: (value: unknown, path: string) => void): void {
  const walk = (at: StructuralNode | undefined, part: unknown, partPath: string): void => walkUnknown(at, part, partPath, found, metadata);
  const keep = node?.['x-kubernetes-preserve-unknown-fields'] === true;
  if (Array.isArray(value)) {
    const items = keep ? keeping(node.items) : node?.items;
    value.forEach((item, index) => walk(items, item, keyPath(path, index)));
    return;
  }
  if (!isMapping(value)) return;
  const rest = node?.additionalProperties;
  for (const key of Object.keys(value)) {
    if (node?.['x-kubernetes-embedded-resource'] && typeAndObjectMeta.has(key)) {
      if (key === 'metadata') metadata(value[key], childPath(path, key));
      continue;
    }
    const isField = node?.properties !== undefined && Object.hasOwn(node.properties, key);
    if (isField) walk(node.properties![key], value[key], childPath(path, key));
    else if (rest) walk(restNode(node), value[key], childPath(path, key));
    else if (!keep) found(childPath(path, key), value, key);
  }
}

/** Below a list that keeps unknown fields, its items keep them too. */
function keeping(items: StructuralNode | undefined): StructuralNode {
  return { ...items, 'x-kubernetes-preserve-unknown-fields': true };
}

/** Removes nulls that the schema has no place for, unless a default takes it. */
export function dropNulls(node: StructuralNode | undefined, value: unknown): void {
  if (!node) return;
  if (Array.isArray(value)) {
    for (const item of value) dropNulls(node.items, item);
    return;
  }
  if (!isMapping(value)) return;
  for (const key of Object.keys(value)) {
    const child = fieldNode(node, key);
    if (value[key] === null && child && !child.nullable && child.default === undefined) delete value[key];
    else dropNulls(child, value[key]);
  }
}

/** Characters of JSON that defaults may add to one object: more is refused by every store, and would fill the memory first. */
const addedMax = 8 * 1024 * 1024;

/** Fills in defaults wherever the object that holds them is present. */
export function fillDefaults(node: StructuralNode, value: unknown): void {
  fill(node, value, { left: addedMax });
}

function fill(node: StructuralNode | undefined, value: unknown, room: { left: number }): void {
  if (!node) return;
  if (Array.isArray(value)) {
    const items = node.items;
    value.forEach((item, index) => {
      if (item === null && items && !items.nullable && items.default !== undefined) value[index] = taken(items.default, room) ?? null;
      fill(items, value[index], room);
    });
    return;
  }
  if (!isMapping(value)) return;
  for (const [key, child] of defaultsOf(node)) {
    if (!Object.hasOwn(value, key) || (value[key] === null && !child.nullable)) assign(value, key, child.default, room);
  }
  for (const key of Object.keys(value)) {
    const child = fieldNode(node, key);
    if (value[key] === null && child && !child.nullable && child.default !== undefined) assign(value, key, child.default, room);
    fill(child, value[key], room);
  }
}

const defaulted = new WeakMap<StructuralNode, readonly (readonly [string, StructuralNode])[]>();

/** The fields that have one: few, of what may be thousands, in each of what may be thousands of mappings. */
function defaultsOf(node: StructuralNode): readonly (readonly [string, StructuralNode])[] {
  let found = defaulted.get(node);
  if (!found) defaulted.set(node, (found = Object.entries(node.properties ?? {}).filter(([, child]) => child.default !== undefined)));
  return found;
}

function assign(owner: Mapping, key: string, value: unknown, room: { left: number }): void {
  const copy = taken(value, room);
  if (copy !== undefined) owner[key] = copy;
}

function taken(value: unknown, room: { left: number }): unknown {
  room.left -= sizeOf(value);
  return room.left >= 0 ? copyOf(value) : undefined;
}

const sizes = new WeakMap<object, number>();

/** Characters of JSON, or about as many; counted once for each default. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 1;
  let size = sizes.get(value);
  if (size === undefined) sizes.set(value, (size = JSON.stringify(value).length));
  return size;
}
