// structure.ts
//
// What a schema says of how values are merged and owned: mappings field by field or as a whole, lists as a whole, as sets, or
// as items with names. What a schema leaves open is deduced from the value: mappings by field, lists as a whole.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy

import type { SchemaNode } from '../../../api/schema.js';
import { isMapping } from '../admission.js';
import { keyElement, valueElement } from './field-set.js';

export type Structure = { readonly type: 'leaf' } | MappingStructure | ListStructure;

export interface MappingStructure {
  readonly type: 'mapping';
  /** Owned and replaced as a whole. */
  readonly atomic: boolean;
  /** Schemas of the fields that have names of their own, as against keys of a map. */
  readonly fields: Readonly<Record<string, SchemaNode>>;
  /** Of all other keys: a schema, undefined when it is open what they hold, null when there are none. */
  readonly rest: SchemaNode | undefined | null;
}

export interface ListStructure {
  readonly type: 'list';
  readonly relation: 'atomic' | 'set' | 'map';
  /** With relation map: the fields that name an item. */
  readonly keys: readonly string[];
  readonly item: SchemaNode | undefined;
}

const leaf: Structure = { type: 'leaf' };
const anyMapping: MappingStructure = { type: 'mapping', atomic: false, fields: {}, rest: undefined };
const anyList: ListStructure = { type: 'list', relation: 'atomic', keys: [], item: undefined };

const known = new WeakMap<SchemaNode, Structure | null>();

/** How to look at a value; one that is not what its schema says counts as a leaf. */
export function structureOf(schema: SchemaNode | undefined, value: unknown): Structure {
  const declared = schema === undefined ? null : declaredStructure(schema);
  if (declared === null) return isMapping(value) ? anyMapping : Array.isArray(value) ? anyList : leaf;
  if (declared.type === 'mapping') return isMapping(value) ? declared : leaf;
  if (declared.type === 'list') return Array.isArray(value) ? declared : leaf;
  return declared;
}

/** Null when the schema leaves it open. */
export function declaredStructure(schema: SchemaNode): Structure | null {
  let structure = known.get(schema);
  if (structure === undefined) known.set(schema, (structure = makeStructure(schema)));
  return structure;
}

function makeStructure(schema: SchemaNode): Structure | null {
  if (schema['x-kubernetes-int-or-string']) return leaf;
  if (schema.anyOf && schema.type === undefined) {
    const choices = schema.anyOf.filter(({ type }) => type !== 'null');
    return choices.length === 1 ? declaredStructure(choices[0]!) : null;
  }
  if (schema.type === 'array' || (schema.type === undefined && schema.items)) {
    const asked = schema['x-kubernetes-list-type'];
    const keys = (schema['x-kubernetes-list-map-keys'] ?? []) as readonly string[];
    return { type: 'list', relation: asked === 'set' ? 'set' : asked === 'map' && keys.length > 0 ? 'map' : 'atomic', keys, item: schema.items };
  }
  const hasFields = schema.properties !== undefined || schema.additionalProperties !== undefined || schema.patternProperties !== undefined;
  if (schema.type === 'object' || hasFields) {
    return { type: 'mapping', atomic: schema['x-kubernetes-map-type'] === 'atomic', fields: schema.properties ?? {}, rest: restOf(schema) };
  }
  return schema.type === undefined ? null : leaf;
}

function restOf(schema: SchemaNode): SchemaNode | undefined | null {
  if (isMapping(schema.additionalProperties)) return schema.additionalProperties as SchemaNode;
  if (schema.patternProperties) return Object.values(schema.patternProperties)[0];
  if (schema['x-kubernetes-preserve-unknown-fields'] || schema.additionalProperties === true) return undefined;
  // A mapping of no declared field at all holds anything.
  return schema.properties ? null : undefined;
}

export function isNamedField(structure: MappingStructure, key: string): boolean {
  return Object.hasOwn(structure.fields, key);
}

export function fieldSchema(structure: MappingStructure, key: string): SchemaNode | undefined {
  return isNamedField(structure, key) ? structure.fields[key] : (structure.rest ?? undefined);
}

/** The path element of an item of a list that is no whole. @throws Error when it has none */
export function itemElement(structure: ListStructure, item: unknown): string {
  if (structure.relation === 'set') {
    if (item === null) throw new Error("associative list without keys has an element that's an explicit null");
    if (Array.isArray(item)) throw new Error('not supported: associative list with lists as elements');
    if (isMapping(item)) throw new Error("associative list without keys has an element that's a map type");
    return valueElement(item);
  }
  if (!isMapping(item)) throw new Error('associative list with keys may not have non-map elements');
  const keys: Record<string, unknown> = {};
  for (const key of structure.keys) {
    const value = (Object.hasOwn(item, key) ? item[key] : undefined) ?? keyDefault(structure, key);
    if (value === undefined) throw new Error(`associative list with keys has an element that omits key field ${JSON.stringify(key)} (and doesn't have default value)`);
    keys[key] = value;
  }
  return keyElement(keys);
}

function keyDefault({ item }: ListStructure, key: string): unknown {
  const { properties } = item ?? {};
  return properties && Object.hasOwn(properties, key) ? properties[key]?.default : undefined;
}

/** The items of a list by their path elements, in order. Stored lists may have several of one name, and even nameless ones. */
export interface IndexedItems {
  /** Of each item; undefined for one that has no name. */
  readonly elements: readonly (string | undefined)[];
  readonly places: ReadonlyMap<string, readonly number[]>;
}

export function indexed(structure: ListStructure, items: readonly unknown[]): IndexedItems {
  const places = new Map<string, number[]>();
  const elements = items.map((item, at) => {
    const element = elementOrNone(structure, item);
    if (element === undefined) return undefined;
    const others = places.get(element);
    if (others) others.push(at);
    else places.set(element, [at]);
    return element;
  });
  return { elements, places };
}

/** The path element of an item, undefined when it has none. */
export function elementOrNone(structure: ListStructure, item: unknown): string | undefined {
  try {
    return itemElement(structure, item);
  } catch {
    return undefined;
  }
}
