// list-types.ts: lists that are sets or maps hold nothing twice.

import { duplicate, invalidValue, problemsShownMax, type FieldProblem } from '../errors.js';
import { canonical, childPath, isMapping, keyPath } from './json.js';
import type { StructuralNode } from './node.js';

/** @param path of the value */
export function listTypeProblems(node: StructuralNode | undefined, value: unknown, path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  look(node, value, path, problems);
  return problems;
}

function look(node: StructuralNode | undefined, value: unknown, path: string, problems: FieldProblem[]): void {
  if (!node || problems.length > problemsShownMax) return;
  if (Array.isArray(value)) {
    if (node['x-kubernetes-list-type'] === 'set') lookAtKeys(value, value, path, problems);
    else if (node['x-kubernetes-list-type'] === 'map') lookAtMapList(node, value, path, problems);
    value.forEach((item, index) => look(node.items, item, keyPath(path, index), problems));
  } else if (isMapping(value)) {
    for (const key of Object.keys(value)) {
      const isField = node.properties !== undefined && Object.hasOwn(node.properties, key);
      if (isField) look(node.properties![key], value[key], childPath(path, key), problems);
      else if (typeof node.additionalProperties === 'object') look(node.additionalProperties, value[key], keyPath(path, key), problems);
    }
  }
}

function lookAtMapList(node: StructuralNode, list: readonly unknown[], path: string, problems: FieldProblem[]): void {
  const odd = list.findIndex((item) => item !== null && !isMapping(item));
  if (odd >= 0) {
    problems.push(invalidValue(keyPath(path, odd), list[odd], 'must be an object for an array of list-type map'));
    return;
  }
  lookAtKeys(list.map((item) => mapListKey(node, item)), list, path, problems);
}

/** What tells an item of a list of type map from the others. */
export function mapListKey(node: StructuralNode, item: unknown): Record<string, unknown> {
  const keys = node['x-kubernetes-list-map-keys'] ?? [];
  if (!isMapping(item)) return {};
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(item, key)).map((key) => [key, item[key]]));
}

/** Each value that occurs more than once is told of once, where it occurs for the second time. */
function lookAtKeys(keys: readonly unknown[], list: readonly unknown[], path: string, problems: FieldProblem[]): void {
  const times = new Map<string, number>();
  for (let index = 0; index < list.length; index++) {
    const text = canonical(keys[index]);
    const before = times.get(text) ?? 0;
    times.set(text, before + 1);
    if (before === 1) problems.push(duplicate(keyPath(path, index), keys[index]));
  }
}
