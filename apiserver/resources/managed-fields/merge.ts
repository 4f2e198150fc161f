// merge.ts: a configuration laid over a live value, and what is left of a value without some of its fields.

import type { SchemaNode } from '../../../api/schema.js';
import { isMapping } from '../admission.js';
import { below, fieldElement, isEmptySet, isMember, type FieldSet } from './field-set.js';
import { fieldSchema, indexed, structureOf, type ListStructure, type MappingStructure } from './structure.js';

/**
 * Everything of `live`, with everything of `config` in or over it; parts of both may be in the result. Items keep the order of
 * `config` among those that it names, and stay where they were otherwise.
 */
export function merge(schema: SchemaNode | undefined, live: unknown, config: unknown): unknown {
  if (config === undefined) return live;
  if (live === undefined) return config;
  const structure = structureOf(schema, config);
  if (structure.type === 'mapping' && !structure.atomic && isMapping(live)) return mergeMappings(structure, live, config as Record<string, unknown>);
  if (structure.type === 'list' && structure.relation !== 'atomic' && Array.isArray(live)) return mergeLists(structure, live, config as unknown[]);
  return config;
}

function mergeMappings(structure: MappingStructure, live: Record<string, unknown>, config: Record<string, unknown>): Record<string, unknown> {
  const result = { ...live };
  for (const key of Object.keys(config)) result[key] = merge(fieldSchema(structure, key), Object.hasOwn(live, key) ? live[key] : undefined, config[key]);
  return result;
}

/** The order is that of structured-merge-diff: both lists are walked side by side, from one item that both have to the next. */
function mergeLists(structure: ListStructure, live: readonly unknown[], config: readonly unknown[]): unknown[] {
  const left = indexed(structure, live);
  const right = indexed(structure, config);
  const shared = right.elements.filter((element) => element !== undefined && left.places.has(element));
  let nextShared = 0;
  const taken = new Set<string>();
  const result: unknown[] = [];

  const take = (at: number): void => {
    const element = right.elements[at];
    const places = element === undefined ? [] : (left.places.get(element) ?? []);
    // What an item of a repeated name is merged into nobody can say: it takes the place of all.
    result.push(merge(structure.item, places.length === 1 ? live[places[0]!] : undefined, config[at]));
    if (element === undefined) return;
    taken.add(element);
    if (shared[nextShared] === element) nextShared++;
  };

  for (let l = 0, r = 0; l < live.length || r < config.length; ) {
    const old = left.elements[l];
    const inConfig = old !== undefined && right.places.has(old);
    if (l < live.length && r < config.length) {
      if (old !== undefined && old === right.elements[r]) {
        take(r++);
        l++;
        continue;
      }
      // Both have it, but it is another one's turn.
      if (inConfig && nextShared < shared.length && shared[nextShared] !== old) {
        l++;
        continue;
      }
    }
    if (l < live.length) {
      if (!inConfig) {
        result.push(live[l++]);
        continue;
      }
      if (taken.has(old)) l++;
    }
    if (r < config.length) take(r++);
  }
  return result;
}

/** Without the fields and items of the set; undefined when nothing is left. */
export function withoutFields(schema: SchemaNode | undefined, value: unknown, set: FieldSet): unknown {
  if (isEmptySet(set)) return value;
  const structure = structureOf(schema, value);
  if (structure.type === 'leaf') return value;
  // A part of a whole cannot go alone.
  if (structure.type === 'mapping' ? structure.atomic : structure.relation === 'atomic') return undefined;
  if (structure.type === 'mapping') {
    const result: Record<string, unknown> = {};
    for (const [key, child] of Object.entries(value as Record<string, unknown>)) {
      const left = without(fieldSchema(structure, key), child, set, fieldElement(key));
      if (left !== undefined) result[key] = left;
    }
    return Object.keys(result).length > 0 ? result : undefined;
  }
  const items = value as unknown[];
  const { elements } = indexed(structure, items);
  const left = items.map((item, at) => (elements[at] === undefined ? item : without(structure.item, item, set, elements[at]))).filter((item) => item !== undefined);
  return left.length > 0 ? left : undefined;
}

function without(schema: SchemaNode | undefined, value: unknown, set: FieldSet, element: string): unknown {
  const node = set[element];
  if (node === undefined) return value;
  return isMember(node) ? undefined : withoutFields(schema, value, below(set, element));
}
