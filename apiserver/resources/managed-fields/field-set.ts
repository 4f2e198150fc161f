// field-set.ts
//
// Sets of fields, in the form in which objects carry them: FieldsV1 of structured-merge-diff. A set is a tree whose edges are
// path elements, so the stored JSON is worked on as it is:
//
//   f:NAME          the field NAME of a mapping
//   k:{"name":"x"}  the item with these keys of a list of named items
//   v:"x"           the item with this value of a list that is a set
//   i:0             the item at this place (only in entries that clients bring)
//   .               the path so far is itself in the set; understood where nothing follows
//
// So {"f:spec":{"f:args":{},"f:labels":{".":{},"f:a":{}}}} is .spec.args, .spec.labels and .spec.labels.a. Values are never changed in place.
// https://github.com/kubernetes-sigs/structured-merge-diff/tree/master/fieldpath

import { isMapping } from '../admission.js';

/** One node of the tree; as a whole, a set. The root is never a member, so `{}` is the empty set. */
export interface FieldSet {
  readonly [element: string]: FieldSet;
}

type Node = Record<string, FieldSet>;

export const emptySet: FieldSet = Object.freeze({});
const self = '.';
const leaf: FieldSet = emptySet;

export function isEmptySet(set: FieldSet): boolean {
  if (set === leaf) return true;
  for (const _ in set) return false;
  return true;
}

/** Whether the path that led to this node is in the set. */
export function isMember(node: FieldSet): boolean {
  return node[self] !== undefined || isEmptySet(node);
}

/** The node for a path that is a member or not and has these children; undefined when there is nothing to say. */
export function nodeOf(member: boolean, children: FieldSet): FieldSet | undefined {
  if (isEmptySet(children)) return member ? leaf : undefined;
  return member ? { [self]: leaf, ...children } : children;
}

/** What of the set lies below this path element. */
export function below(set: FieldSet, element: string): FieldSet {
  const node = set[element];
  return node === undefined ? emptySet : childrenOf(node);
}

export function childrenOf(node: FieldSet): FieldSet {
  if (node[self] === undefined) return node;
  const { [self]: _self, ...children } = node;
  return children;
}

export function has(set: FieldSet, path: readonly string[]): boolean {
  let node: FieldSet | undefined = set;
  for (const element of path) node = node?.[element];
  return path.length > 0 && node !== undefined && isMember(node);
}

/** A set of these paths. */
export function setOf(paths: Iterable<readonly string[]>): FieldSet {
  return unionOf([...paths].filter((path) => path.length > 0).map((path) => path.reduceRight<FieldSet>((node, element) => ({ [element]: node }), leaf)));
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(a)) return b;
  if (isEmptySet(b)) return a;
  const result: Node = { ...a };
  for (const [element, node] of Object.entries(b)) {
    const other = a[element];
    result[element] = other === undefined || element === self ? node : nodeOf(isMember(other) || isMember(node), union(childrenOf(other), childrenOf(node)))!;
  }
  return result;
}

/** Two by two, so that thousands of sets do not take a copy of all that came before for each. */
export function unionOf(sets: readonly FieldSet[]): FieldSet {
  let left = sets;
  while (left.length > 1) left = left.flatMap((set, at) => (at % 2 === 1 ? [] : [at + 1 < left.length ? union(set, left[at + 1]!) : set]));
  return left[0] ?? emptySet;
}

/** What is in `a` and not in `b`: path by path, so a parent does not stand for its children. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(b)) return a;
  return combined(a, b, (inA, inB) => inA && !inB, true);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return combined(a, b, (inA, inB) => inA && inB, false);
}

function combined(a: FieldSet, b: FieldSet, keeps: (inA: boolean, inB: boolean) => boolean, keepsUnmatched: boolean): FieldSet {
  const result: Node = {};
  for (const [element, node] of Object.entries(a)) {
    if (element === self) continue;
    const other = b[element];
    if (other === undefined) {
      if (keepsUnmatched) result[element] = node;
      continue;
    }
    const kept = nodeOf(keeps(isMember(node), isMember(other)), combined(childrenOf(node), childrenOf(other), keeps, keepsUnmatched));
    if (kept) result[element] = kept;
  }
  return result;
}

/** Without the paths that other paths of the set go on from. */
export function leavesOf(set: FieldSet): FieldSet {
  const result: Node = {};
  for (const [element, node] of Object.entries(set)) if (element !== self) result[element] = isEmptySet(node) ? leaf : leavesOf(node);
  return result;
}

export function equalSets(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  const elements = Object.keys(a);
  if (elements.length !== Object.keys(b).length) return false;
  return elements.every((element) => b[element] !== undefined && equalSets(a[element]!, b[element]));
}

/** Every path of the set, parents first, in canonical order. */
export function* pathsOf(set: FieldSet, prefix: readonly string[] = []): Generator<readonly string[]> {
  for (const element of Object.keys(set).toSorted(byElement)) {
    if (element === self) continue;
    const path = [...prefix, element];
    if (isMember(set[element]!)) yield path;
    yield* pathsOf(set[element]!, path);
  }
}

export function sizeOf(set: FieldSet): number {
  let size = 0;
  for (const [element, node] of Object.entries(set)) if (element !== self) size += (isMember(node) ? 1 : 0) + sizeOf(node);
  return size;
}

/** The same set with its keys in the order in which Kubernetes writes them. */
export function canonical(set: FieldSet): FieldSet {
  const result: Node = {};
  for (const element of Object.keys(set).toSorted(byElement)) result[element] = isEmptySet(set[element]!) ? leaf : canonical(set[element]!);
  return result;
}

const ranks: Readonly<Record<string, number>> = { '.': 0, f: 1, k: 2, v: 3, i: 4 };

function byElement(a: string, b: string): number {
  return ranks[a[0]!]! - ranks[b[0]!]! || (a < b ? -1 : a > b ? 1 : 0);
}

/** What a client brought as FieldsV1, in canonical form. @throws Error that says which key cannot be read */
export function parseFieldSet(value: unknown): FieldSet {
  if (!isMapping(value)) throw new Error('must be a mapping of path elements');
  const result: Node = {};
  /** What is said in several ways: `v:1` and `v: 1`. */
  const repeated = new Map<string, FieldSet[]>();
  for (const [key, child] of Object.entries(value)) {
    const element = key === self ? self : parsedElement(key);
    const node = parseFieldSet(child);
    if (element === self && !isEmptySet(node)) throw new Error('"." must be an empty mapping');
    const other = result[element];
    if (other === undefined) result[element] = node;
    else if (repeated.get(element)?.push(node) === undefined) repeated.set(element, [other, node]);
  }
  for (const [element, nodes] of repeated) result[element] = nodeOf(nodes.some(isMember), unionOf(nodes.map(childrenOf)))!;
  // A dot at the root would make the object itself a member, which nobody owns; alone, it says what nothing says.
  if (Object.keys(result).length === 1 && result[self]) return leaf;
  return canonical(result);
}

function parsedElement(key: string): string {
  const text = key.slice(2);
  switch (key.slice(0, 2)) {
    case 'f:':
      return key;
    case 'v:':
      return valueElement(parsedJson(key, text));
    case 'k:': {
      const keys = parsedJson(key, text);
      if (!isMapping(keys)) throw new Error(`the keys in ${JSON.stringify(key)} must be a mapping`);
      return keyElement(keys);
    }
    case 'i:':
      if (!/^-?[0-9]+$/.test(text)) throw new Error(`the index in ${JSON.stringify(key)} must be a number`);
      return key;
    default:
      throw new Error(`unknown path element ${JSON.stringify(key)}: must begin with f:, k:, v: or i:`);
  }
}

function parsedJson(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`the value in ${JSON.stringify(key)} must be JSON`);
  }
}

export function fieldElement(name: string): string {
  return `f:${name}`;
}

/** @param keys names and values of the fields that name the item */
export function keyElement(keys: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(keys);
  if (names.length === 1) return `k:{${JSON.stringify(names[0])}:${JSON.stringify(keys[names[0]!])}}`;
  return `k:${JSON.stringify(Object.fromEntries(Object.entries(keys).toSorted(([a], [b]) => (a < b ? -1 : 1))))}`;
}

export function valueElement(value: unknown): string {
  return `v:${JSON.stringify(value)}`;
}

/** `.spec.env[name="A"].value`, as conflicts name a field. */
export function pathText(path: readonly string[]): string {
  return path.map(elementText).join('');
}

export function elementText(element: string): string {
  const text = element.slice(2);
  switch (element[0]) {
    case 'f':
      return `.${text}`;
    case 'v':
      return `[=${text}]`;
    case 'k':
      return `[${Object.entries(JSON.parse(text) as Record<string, unknown>).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    default:
      return `[${text}]`;
  }
}
