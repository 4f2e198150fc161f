import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonical, difference, emptySet, equalSets, has, intersection, isEmptySet, leavesOf, parseFieldSet, pathsOf, pathText, setOf, union, type FieldSet } from './field-set.js';

const element = fc.constantFrom('f:a', 'f:b', 'f:__proto__', 'k:{"name":"x"}', 'k:{"name":"y"}', 'v:"x"', 'v:1');
const path = fc.array(element, { minLength: 1, maxLength: 4 });
const paths = fc.array(path, { maxLength: 8 });
const textsOf = (set: FieldSet): string[] => [...pathsOf(set)].map((found) => found.join(' '));
const model = (all: readonly (readonly string[])[]): Set<string> => new Set(all.map((found) => found.join(' ')));
const same = (set: FieldSet, expected: ReadonlySet<string>): void => void expect(new Set(textsOf(set))).toEqual(expected);

describe('a set of fields', () => {
  it('is the set of its paths, and operations are those of sets of paths', () => {
    fc.assert(
      fc.property(paths, paths, (left, right) => {
        const [a, b] = [setOf(left), setOf(right)];
        const [inA, inB] = [model(left), model(right)];
        same(a, inA);
        same(union(a, b), new Set([...inA, ...inB]));
        same(difference(a, b), new Set([...inA].filter((found) => !inB.has(found))));
        same(intersection(a, b), new Set([...inA].filter((found) => inB.has(found))));
        for (const found of [...left, ...right]) expect(has(a, found)).toBe(inA.has(found.join(' ')));
        expect(equalSets(union(difference(a, b), intersection(a, b)), a)).toBe(true);
        expect(isEmptySet(difference(a, a))).toBe(true);
        expect(textsOf(leavesOf(a))).toEqual(textsOf(a).filter((found) => ![...inA].some((other) => other.startsWith(`${found} `))));
      }),
    );
  });

  it('survives being written and read, whatever the order of its keys', () => {
    const shuffled = (set: FieldSet): unknown => Object.fromEntries(Object.entries(set).toReversed().map(([key, node]) => [key, shuffled(node)]));
    fc.assert(
      fc.property(paths, (all) => {
        const text = JSON.stringify(canonical(setOf(all)));
        expect(JSON.stringify(parseFieldSet(JSON.parse(text)))).toBe(text);
        expect(JSON.stringify(parseFieldSet(JSON.parse(JSON.stringify(shuffled(setOf(all))))))).toBe(text);
      }),
    );
  });

  it('reads what other servers write: keys in any order and with spaces, a place in a list', () => {
    const read = parseFieldSet({ 'f:spec': { '.': {}, 'k:{"protocol": "TCP", "containerPort": 80}': { '.': {}, 'f:x': {} }, 'i:0': {} } });
    expect(textsOf(read)).toEqual(['f:spec', 'f:spec k:{"containerPort":80,"protocol":"TCP"}', 'f:spec k:{"containerPort":80,"protocol":"TCP"} f:x', 'f:spec i:0']);
    expect(pathText(['f:spec', 'k:{"containerPort":80,"protocol":"TCP"}', 'f:x'])).toBe('.spec[containerPort=80,protocol="TCP"].x');
    expect(pathText(['f:finalizers', 'v:"a"', 'i:3'])).toBe('.finalizers[="a"][3]');
    expect(parseFieldSet({ '.': {} })).toEqual(emptySet);
  });

  it.each<[unknown, string]>([
    [1, 'must be a mapping'],
    [{ spec: {} }, 'unknown path element "spec"'],
    [{ 'f:spec': 1 }, 'must be a mapping'],
    [{ 'k:{': {} }, 'must be JSON'],
    [{ 'k:1': {} }, 'must be a mapping'],
    [{ 'i:x': {} }, 'must be a number'],
    [{ '.': { 'f:a': {} } }, '"." must be an empty mapping'],
  ])('refuses %j', (value, message) => {
    expect(() => parseFieldSet(value)).toThrow(message);
  });
});
