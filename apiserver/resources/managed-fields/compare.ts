// compare.ts: which fields differ between two values of one schema.

import { dequal } from 'dequal';
import type { SchemaNode } from '../../../api/schema.js';
import { isMapping } from '../admission.js';
import { emptySet, fieldElement, isEmptySet, nodeOf, type FieldSet } from './field-set.js';
import { fieldSchema, indexed, structureOf, type IndexedItems, type ListStructure, type MappingStructure } from './structure.js';

/** No field is in more than one of the sets. What is added or removed counts with everything that leads to it and was not there before. */
export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

type Node = Record<string, FieldSet>;
type Kind = keyof Comparison;

/** The differences below one place: whether the place itself is one, and those further down. */
interface Differences {
  self?: Kind;
  added: FieldSet;
  modified: FieldSet;
  removed: FieldSet;
}

const none: Differences = Object.freeze({ added: emptySet, modified: emptySet, removed: emptySet });

export function compare(schema: SchemaNode | undefined, before: unknown, after: unknown): Comparison {
  return differences(schema, before, after);
}

function differences(schema: SchemaNode | undefined, before: unknown, after: unknown): Differences {
  if (before === after) return none;
  const structure = structureOf(schema, after === undefined ? before : after);
  const comparable = before === undefined || after === undefined || sameShape(before, after);
  const whole: Kind | undefined = before === undefined ? 'added' : after === undefined ? 'removed' : undefined;
  if (comparable && structure.type === 'mapping' && !structure.atomic && !(isNothing(before) && isNothing(after))) {
    return { ...inMapping(structure, before as Record<string, unknown> | undefined, after as Record<string, unknown> | undefined), ...(whole ? { self: whole } : {}) };
  }
  if (comparable && structure.type === 'list' && structure.relation !== 'atomic' && !(isNothing(before) && isNothing(after))) {
    return { ...inList(structure, before as unknown[] | undefined, after as unknown[] | undefined), ...(whole ? { self: whole } : {}) };
  }
  if (whole) return { ...none, self: whole };
  // What was below a mapping that is a number now is gone.
  if (!comparable) return { ...none, self: 'modified', removed: differences(schema, before, undefined).removed, added: differences(schema, undefined, after).added };
  return dequal(before, after) ? none : { ...none, self: 'modified' };
}

function inMapping(structure: MappingStructure, before: Record<string, unknown> = {}, after: Record<string, unknown> = {}): Differences {
  const found = new Collected();
  for (const key of Object.keys(before)) found.add(fieldElement(key), differences(fieldSchema(structure, key), before[key], Object.hasOwn(after, key) ? after[key] : undefined));
  for (const key of Object.keys(after)) if (!Object.hasOwn(before, key)) found.add(fieldElement(key), differences(fieldSchema(structure, key), undefined, after[key]));
  return found.all;
}

function inList(structure: ListStructure, before: readonly unknown[] = [], after: readonly unknown[] = []): Differences {
  const found = new Collected();
  const old = indexed(structure, before);
  const next = indexed(structure, after);
  for (const element of new Set([...old.places.keys(), ...next.places.keys()])) found.add(element, betweenItems(structure, element, [before, old], [after, next]));
  return found.all;
}

function betweenItems(structure: ListStructure, element: string, [before, old]: [readonly unknown[], IndexedItems], [after, next]: [readonly unknown[], IndexedItems]): Differences {
  const was = (old.places.get(element) ?? []).map((at) => before[at]);
  const is = (next.places.get(element) ?? []).map((at) => after[at]);
  if (was.length <= 1 && is.length <= 1) return differences(structure.item, was[0], is[0]);
  // Several of one name are only looked at together.
  if (was.length === 0) return { ...none, self: 'added' };
  if (is.length === 0) return { ...none, self: 'removed' };
  return dequal(was, is) ? none : { ...none, self: 'modified' };
}

/** The differences of the parts, as those of the whole. */
class Collected {
  readonly #sets: Record<Kind, Node> = { added: {}, modified: {}, removed: {} };

  add(element: string, differences: Differences): void {
    if (differences === none) return;
    for (const kind of ['added', 'modified', 'removed'] as const) {
      if (differences.self !== kind && isEmptySet(differences[kind])) continue;
      this.#sets[kind][element] = nodeOf(differences.self === kind, differences[kind])!;
    }
  }

  get all(): Differences {
    return this.#sets;
  }
}

function sameShape(a: unknown, b: unknown): boolean {
  return isMapping(a) === isMapping(b) && Array.isArray(a) === Array.isArray(b);
}

function isNothing(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}
