// cel-library.ts
//
// The functions that Kubernetes adds to CEL, as far as people use them in rules, and the meters that the print of a rule
// calls (cel-print.ts). Differences: lists of type set and map compare in order; sets of two variables in macros
// (`all(i, v, …)`), named formats, semver and the authorizer are not there.
// https://kubernetes.io/docs/reference/using-api/cel/#cel-libraries

import { Environment } from '@marcbachmann/cel-js';
import type { AddFunction } from './cel-function.js';
import { charge, chargeDeep, chargeFor } from './cel-meter.js';
import { registerNetworks } from './cel-networks.js';
import { registerQuantities } from './cel-quantities.js';
import { compiled, stepsOf } from './pattern.js';

type Ordered = string | number | bigint | boolean | Date | { valueOf(): number };

let made: Environment | undefined;

/** The environment that all rules share. Made when the first rule is. */
export function celEnvironment(): Environment {
  return (made ??= makeEnvironment());
}

const sync = { async: false };

function makeEnvironment(): Environment {
  const environment = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits: { maxAstNodes: 5_000, maxDepth: 100, maxListElements: 1_000, maxMapEntries: 1_000, maxCallArguments: 32 } });
  const add = (signature: string, handler: (...args: never[]) => unknown): void => void environment.registerFunction(signature, handler as (...args: unknown[]) => unknown, sync);
  add('tick__(): bool', () => {
    charge(1);
    return true;
  });
  add('metered__(A): A', (value: unknown) => chargeFor(value));
  add('deep__(A): A', (value: unknown) => chargeDeep(value));
  registerTexts(add);
  registerLists(add);
  registerQuantities(environment, add);
  registerNetworks(environment, add);
  return environment;
}

function registerTexts(add: AddFunction): void {
  add('matches__(string, string): bool', (text: string, pattern: string) => program(pattern, text).test(text));
  add('string.find(string): string', (text: string, pattern: string) => findAll(text, pattern, 1)[0] ?? '');
  add('string.findAll(string): list<string>', (text: string, pattern: string) => findAll(text, pattern, Infinity));
  add('string.findAll(string, int): list<string>', (text: string, pattern: string, max: bigint) => findAll(text, pattern, max < 0n ? Infinity : Number(max)));
  add('join__(list<string>): string', (list: string[]) => join(list, ''));
  add('join__(list<string>, string): string', (list: string[], separator: string) => join(list, separator));
  add('string.replace(string, string): string', (text: string, from: string, to: string) => replace(text, from, to, Infinity));
  add('string.replace(string, string, int): string', (text: string, from: string, to: string, max: bigint) => replace(text, from, to, max < 0n ? Infinity : Number(max)));
  add('string.charAt(int): string', (text: string, index: bigint) => {
    const characters = Array.from(text);
    if (index < 0n || index > BigInt(characters.length)) throw new Error(`index out of range: ${index}`);
    return characters[Number(index)] ?? '';
  });
  add('string.reverse(): string', (text: string) => Array.from(text).reverse().join(''));
  add('string.format(list<dyn>): string', (text: string, values: unknown[]) => format(text, values));
}

/** In time linear in the text, and charged as such. */
function program(pattern: string, text: string): { test(text: string): boolean; matcher(text: string): { find(): boolean; group(): string | null } } {
  const found = compiled(pattern);
  if (!found) throw new Error(`invalid regular expression: ${pattern}`);
  charge(1 + Math.ceil(stepsOf(pattern, text) / 20));
  return found;
}

function findAll(text: string, pattern: string, max: number): string[] {
  const matcher = program(pattern, text).matcher(text);
  const found: string[] = [];
  while (found.length < max && matcher.find()) {
    charge(1);
    found.push(matcher.group() ?? '');
  }
  return found;
}

function join(list: readonly string[], separator: string): string {
  let length = 0;
  for (const item of list) {
    if (typeof item !== 'string') throw new Error('no such overload: join of a list that holds more than texts');
    length += item.length + separator.length;
    charge(1 + Math.floor((item.length + separator.length) / 10));
  }
  return length === 0 ? '' : list.join(separator);
}

function replace(text: string, from: string, to: string, max: number): string {
  const parts = text.split(from);
  const times = Math.min(max, parts.length - 1);
  charge(parts.length + Math.floor((times * to.length) / 10));
  return parts.slice(0, times + 1).join(to) + parts.slice(times + 1).map((part) => from + part).join('');
}

/** %s %d %f %e %b %o %x %X and %%, with a precision. https://github.com/google/cel-go/tree/master/ext#format */
function format(text: string, values: readonly unknown[]): string {
  let next = 0;
  const result = text.replace(/%(?:\.(\d{1,3}))?(.)?/gsu, (_, precision: string | undefined, verb: string | undefined) => {
    if (verb === '%') return '%';
    if (next >= values.length) throw new Error(`index ${next} out of range`);
    const piece = formatOne(verb, values[next++], precision === undefined ? 6 : Number(precision));
    chargeFor(piece);
    return piece;
  });
  return result;
}

function formatOne(verb: string | undefined, value: unknown, precision: number): string {
  switch (verb) {
    case 's':
      return textOf(value);
    case 'd':
      return typeof value === 'bigint' ? String(value) : textOf(value);
    case 'f':
      return Number(value).toFixed(Math.min(precision, 100));
    case 'e':
      return Number(value).toExponential(Math.min(precision, 100)).replace(/e([+-])(\d)$/, 'e$10$2');
    case 'b':
      return typeof value === 'boolean' ? String(Number(value)) : wholeOf(value).toString(2);
    case 'o':
      return wholeOf(value).toString(8);
    case 'x':
    case 'X': {
      const digits = typeof value === 'string' ? Buffer.from(value).toString('hex') : wholeOf(value).toString(16);
      return verb === 'X' ? digits.toUpperCase() : digits;
    }
    default:
      throw new Error(`could not parse formatting clause: unrecognized formatting clause "${verb ?? ''}"`);
  }
}

function wholeOf(value: unknown): bigint {
  if (typeof value !== 'bigint') throw new Error('formatting clause can only be used on integers');
  return value;
}

/** A value in a message, as %s writes it. */
function textOf(value: unknown): string {
  charge(1);
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString().replace(/\.000Z$/, 'Z');
  if (Array.isArray(value)) return `[${value.map(textOf).join(', ')}]`;
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${textOf(key)}: ${textOf(item)}`).join(', ')}}`;
  if (typeof value === 'object' && value !== null && value.constructor === Object) return textOf(new Map(Object.entries(value)));
  return String(value);
}

function registerLists(add: AddFunction): void {
  add('list<A>.isSorted(): bool', (list: Ordered[]) => list.every((item, index) => index === 0 || compare(list[index - 1]!, item) <= 0));
  add('list<A>.min(): A', (list: Ordered[]) => extreme(list, 'min', -1));
  add('list<A>.max(): A', (list: Ordered[]) => extreme(list, 'max', 1));
  add('list<dyn>.sum(): dyn', (list: unknown[]) => sum(list));
  add('list<A>.indexOf(A): int', (list: unknown[], value: unknown) => BigInt(list.findIndex((item) => sameValue(item, value))));
  add('list<A>.lastIndexOf(A): int', (list: unknown[], value: unknown) => BigInt(list.findLastIndex((item) => sameValue(item, value))));
  add('list<A>.distinct(): list<A>', (list: unknown[]) => list.filter((item, index) => list.findIndex((other) => sameValue(item, other)) === index));
  add('list<A>.slice(int, int): list<A>', (list: unknown[], start: bigint, end: bigint) => {
    if (start < 0n || end < start || end > BigInt(list.length)) throw new Error(`cannot slice(${start}, ${end}), list has ${list.length} elements`);
    return list.slice(Number(start), Number(end));
  });
}

function compare(a: Ordered, b: Ordered): number {
  charge(1);
  return a < b ? -1 : a > b ? 1 : 0;
}

function extreme(list: readonly Ordered[], name: string, sign: number): Ordered {
  const [first, ...rest] = list;
  if (first === undefined) throw new Error(`${name} called on empty list`);
  return rest.reduce((best, item) => (Math.sign(compare(item, best)) === sign ? item : best), first);
}

function sum(list: readonly unknown[]): unknown {
  if (list.every((item) => typeof item === 'bigint')) return list.reduce((total: bigint, item) => total + item, 0n);
  if (list.every((item) => typeof item === 'number')) return list.reduce((total: number, item) => total + item, 0);
  throw new Error('no such overload: sum of a list that holds other than numbers of one type');
}

/** Equality of CEL values; int and double of the same worth are equal. Charged for each part. */
export function sameValue(a: unknown, b: unknown): boolean {
  charge(1);
  if (a === b) return true;
  if ((typeof a === 'bigint' && typeof b === 'number') || (typeof a === 'number' && typeof b === 'bigint')) return Number(a) === Number(b);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => sameValue(item, b[index]));
  const [left, right] = [entriesOf(a), entriesOf(b)];
  if (left && right) return left.size === right.size && [...left].every(([key, value]) => right.has(key) && sameValue(value, right.get(key)));
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return a.constructor === b.constructor && typeof a.valueOf() !== 'object' && a.valueOf() === b.valueOf();
}

function entriesOf(value: object): ReadonlyMap<unknown, unknown> | undefined {
  if (value instanceof Map) return value;
  return value.constructor === Object ? new Map(Object.entries(value)) : undefined;
}
