// fields-of.ts: the fields that a value mentions, and what a set of them means under a schema.

import type { SchemaNode } from '../../../api/schema.js';
import { isMapping } from '../admission.js';
import { childrenOf, elementText, emptySet, fieldElement, isEmptySet, isMember, nodeOf, type FieldSet } from './field-set.js';
import { declaredStructure, fieldSchema, indexed, isNamedField, itemElement, structureOf, type IndexedItems, type ListStructure, type MappingStructure } from './structure.js';

type Node = Record<string, FieldSet>;

/** Every leaf, item and key of a map in `value`; the root itself is never one. */
export function fieldsOf(schema: SchemaNode | undefined, value: unknown): FieldSet {
  return childrenIn(schema, value) ?? emptySet;
}

/** Undefined when the value is a whole. */
function childrenIn(schema: SchemaNode | undefined, value: unknown): FieldSet | undefined {
  const structure = structureOf(schema, value);
  if (structure.type === 'mapping' && !structure.atomic) return fieldsOfMapping(structure, value as Record<string, unknown>);
  if (structure.type === 'list' && structure.relation !== 'atomic') return fieldsOfList(structure, value as unknown[]);
  return undefined;
}

function fieldsOfMapping(structure: MappingStructure, value: Record<string, unknown>): FieldSet {
  const result: Node = {};
  for (const key of Object.keys(value)) {
    const child = value[key];
    if (child === undefined) continue;
    const children = childrenIn(fieldSchema(structure, key), child);
    const whole = children === undefined || (isMapping(child) && isEmpty(child)) || !isNamedField(structure, key);
    const node = nodeOf(whole, children ?? emptySet);
    if (node) result[fieldElement(key)] = node;
  }
  return result;
}

function fieldsOfList(structure: ListStructure, items: readonly unknown[]): FieldSet {
  const result: Node = {};
  for (const [element, places] of indexed(structure, items).places) {
    // Of several items of one name nobody can own a part.
    const children = places.length > 1 ? undefined : childrenIn(structure.item, items[places[0]!]);
    result[element] = nodeOf(true, children ?? emptySet)!;
  }
  return result;
}

function isEmpty(mapping: object): boolean {
  for (const _ in mapping) return false;
  return true;
}

/**
 * The set with every declared field a member on the way to which members are: {spec: {args}} also has spec, where
 * {labels: {a}} has not labels, which is a map.
 */
export function withNamedFields(schema: SchemaNode | undefined, set: FieldSet): FieldSet {
  const structure = schema && declaredStructure(schema);
  const result: Node = {};
  for (const [element, node] of Object.entries(set)) {
    if (element === '.') continue;
    const named = structure?.type === 'mapping' && element.startsWith('f:') && isNamedField(structure, element.slice(2));
    const children = isEmptySet(node) ? emptySet : withNamedFields(childSchema(schema, element), childrenOf(node));
    result[element] = nodeOf(named || isMember(node), children)!;
  }
  return result;
}

/** Items that may get owners of their own in one go. */
const newlyOwnedMax = 200_000;

/**
 * Sets of owners as a schema has them that has changed since they were written. What was shared item by item may be one whole now: who
 * had a part of it then has it all. And a list that was one whole may be shared item by item: who had it then has every item of it.
 */
export class Reconciler {
  readonly #schema: SchemaNode | undefined;
  readonly #live: unknown;
  /** By list, for many may own the same one. */
  readonly #items = new Map<unknown, FieldSet>();
  readonly #indexes = new Map<unknown, IndexedItems>();
  #left = newlyOwnedMax;

  constructor(schema: SchemaNode | undefined, live: unknown) {
    this.#schema = schema;
    this.#live = live;
  }

  reconciled(set: FieldSet): FieldSet {
    return this.#below(this.#schema, set, this.#live);
  }

  #below(schema: SchemaNode | undefined, set: FieldSet, live: unknown): FieldSet {
    const result: Node = {};
    for (const [element, node] of Object.entries(set)) result[element] = element === '.' ? node : this.#at(childSchema(schema, element), node, () => this.#child(schema, live, element));
    return result;
  }

  #at(schema: SchemaNode | undefined, node: FieldSet, live: () => unknown): FieldSet {
    if (schema === undefined) return node;
    if (!isEmptySet(node)) return isWhole(schema) ? emptySet : this.#below(schema, node, live());
    const structure = declaredStructure(schema);
    return structure?.type === 'list' && structure.relation !== 'atomic' ? this.#allOf(schema, live()) : node;
  }

  #allOf(schema: SchemaNode, list: unknown): FieldSet {
    if (!Array.isArray(list) || list.length > this.#left) return emptySet;
    this.#left -= list.length;
    let items = this.#items.get(list);
    if (!items) this.#items.set(list, (items = nodeOf(true, fieldsOf(schema, list))!));
    return items;
  }

  #child(schema: SchemaNode | undefined, live: unknown, element: string): unknown {
    if (element.startsWith('f:')) return isMapping(live) && Object.hasOwn(live, element.slice(2)) ? live[element.slice(2)] : undefined;
    const structure = schema && declaredStructure(schema);
    if (structure?.type !== 'list' || !Array.isArray(live)) return undefined;
    let index = this.#indexes.get(live);
    if (!index) this.#indexes.set(live, (index = indexed(structure, live)));
    const places = index.places.get(element) ?? [];
    return places.length === 1 ? live[places[0]!] : undefined;
  }
}

function isWhole(schema: SchemaNode): boolean {
  const structure = declaredStructure(schema);
  if (structure === null) return false;
  return structure.type === 'leaf' || (structure.type === 'list' ? structure.relation === 'atomic' : structure.atomic);
}

/** The schema of what a path element leads to, undefined where it is open. */
export function childSchema(schema: SchemaNode | undefined, element: string): SchemaNode | undefined {
  const structure = schema && declaredStructure(schema);
  if (structure?.type === 'mapping' && element.startsWith('f:')) return fieldSchema(structure, element.slice(2));
  if (structure?.type === 'list' && !element.startsWith('f:')) return structure.item;
  return undefined;
}

/** What keeps a configuration from being applied besides fields that nobody knows: items without a name, or with the same one. */
export function itemProblems(schema: SchemaNode | undefined, value: unknown, path = ''): string[] {
  const structure = structureOf(schema, value);
  if (structure.type === 'mapping') {
    return Object.entries(value as Record<string, unknown>).flatMap(([key, child]) => itemProblems(fieldSchema(structure, key), child, `${path}.${key}`));
  }
  if (structure.type === 'list') return listProblems(structure, value as unknown[], path);
  return [];
}

function listProblems(structure: ListStructure, items: readonly unknown[], path: string): string[] {
  const seen = new Set<string>();
  return items.flatMap((item, at) => {
    if (structure.relation === 'atomic') return itemProblems(structure.item, item, `${path}[${at}]`);
    try {
      const element = itemElement(structure, item);
      if (seen.has(element)) return [`${path}: duplicate entries for key ${elementText(element)}`];
      seen.add(element);
      return itemProblems(structure.item, item, `${path}${elementText(element)}`);
    } catch (error) {
      return [`${path}: element ${at}: ${(error as Error).message}`];
    }
  });
}
