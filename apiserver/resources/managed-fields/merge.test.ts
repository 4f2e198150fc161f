import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { SchemaNode } from '../../../api/schema.js';
import { deepFreeze } from '../../../lib/deep-freeze.js';
import { copyOf } from '../admission.js';
import { compare } from './compare.js';
import { difference, equalSets, isEmptySet, pathsOf, union, type FieldSet } from './field-set.js';
import { fieldsOf, itemProblems, Reconciler, withNamedFields } from './fields-of.js';
import { merge, withoutFields } from './merge.js';

const text: SchemaNode = { type: 'string' };
const schema: SchemaNode = {
  type: 'object',
  properties: {
    scalar: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    atomicList: { type: 'array', items: text },
    set: { type: 'array', items: text, 'x-kubernetes-list-type': 'set' },
    named: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name', 'protocol'],
      items: { type: 'object', properties: { name: text, protocol: { type: 'string', default: 'TCP' }, value: text, struct: { type: 'object', properties: { a: text, b: text } } } },
    },
    map: { type: 'object', additionalProperties: text },
    atomicMap: { type: 'object', additionalProperties: text, 'x-kubernetes-map-type': 'atomic' },
    struct: { type: 'object', properties: { a: text, b: text } },
    open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
};

const word = fc.constantFrom('x', 'y', 'z');
const words = fc.uniqueArray(word, { maxLength: 3 });
// An empty mapping is a field of its own, whose coming and going is not looked at here.
const struct = fc.record({ a: word, b: word }, { requiredKeys: ['a'] });
const named = fc.uniqueArray(fc.record({ name: word, protocol: fc.constantFrom('TCP', 'UDP'), value: word, struct }, { requiredKeys: ['name'] }), { maxLength: 4, selector: ({ name, protocol = 'TCP' }) => `${name}/${protocol}` });
const open = fc.letrec<{ value: unknown }>((tie) => ({ value: fc.oneof({ maxDepth: 3 }, word, fc.array(word, { maxLength: 2 }), fc.dictionary(word, tie('value'), { minKeys: 1, maxKeys: 3 })) })).value;
const value = fc.record({ scalar: word, atomicList: words, set: words, named, map: fc.dictionary(word, word, { minKeys: 1 }), atomicMap: fc.dictionary(word, word), struct, open: fc.dictionary(word, open, { minKeys: 1 }) }, { requiredKeys: [] }).map(copyOf);

const textsOf = (set: FieldSet): string[] => [...pathsOf(set)].map((path) => path.join(' '));
/** Names of items in the order of a list. */
const order = (list: readonly { name: string }[]): string => list.map(({ name }) => name).join('');

describe('fields of a value', () => {
  it('are not what every object of JavaScript has', () => {
    const odd: SchemaNode = { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['constructor'], items: { type: 'object', properties: { constructor: text } as unknown as Record<string, SchemaNode> } };
    expect(fieldsOf(odd, [{}, { constructor: 'x' }])).toEqual({ 'k:{"constructor":"x"}': { '.': {}, 'f:constructor': {} } });
    expect(fieldsOf({ ...odd, 'x-kubernetes-list-map-keys': ['toString'], items: { type: 'object', properties: {} } }, [{}])).toEqual({});
    expect(itemProblems(odd, [{}], '.l')).toEqual(['.l: element 0: associative list with keys has an element that omits key field "constructor" (and doesn\'t have default value)']);
  });

  it('are its leaves, its keys and its items, and no structs on the way', () => {
    const given = { scalar: 'x', atomicList: ['x'], set: ['x'], named: [{ name: 'x', value: 'v' }], map: { k: 'v' }, atomicMap: { k: 'v' }, struct: { a: 'x' }, open: { m: { n: 1 }, l: [1] } };
    expect(fieldsOf(schema, given)).toEqual({
      'f:scalar': {}, 'f:atomicList': {}, 'f:set': { 'v:"x"': {} }, 'f:named': { 'k:{"name":"x","protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
      'f:map': { 'f:k': {} }, 'f:atomicMap': {}, 'f:struct': { 'f:a': {} }, 'f:open': { 'f:m': { '.': {}, 'f:n': {} }, 'f:l': {} },
    });
    expect(fieldsOf(schema, { struct: {}, map: {}, named: [], set: [] })).toEqual({ 'f:struct': {}, 'f:map': {} });
  });

  it('with those that lead to them have declared fields, but no keys of maps', () => {
    expect(textsOf(withNamedFields(schema, { 'f:struct': { 'f:a': {} }, 'f:open': { 'f:m': { 'f:k': {} } } }))).toEqual(['f:open', 'f:open f:m f:k', 'f:struct', 'f:struct f:a']);
  });

  it('of what is one whole now belong to those who had a part of it', () => {
    const before = { 'f:atomicList': { 'v:"x"': {} }, 'f:atomicMap': { '.': {}, 'f:k': {} }, 'f:scalar': { 'f:a': {} }, 'f:struct': { 'f:a': {} }, 'f:set': { 'v:"x"': {} } };
    expect(new Reconciler(schema, {}).reconciled(before)).toEqual({ 'f:atomicList': {}, 'f:atomicMap': {}, 'f:scalar': {}, 'f:struct': { 'f:a': {} }, 'f:set': { 'v:"x"': {} } });
  });

  it('of what is shared item by item now belong to those who had it all', () => {
    const reconciler = new Reconciler(schema, { set: ['x', 'y'], named: [{ name: 'x', value: 'v' }], atomicList: ['x'], map: { k: 'v' } });
    const item = { 'k:{"name":"x","protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:value': {} } };
    expect(reconciler.reconciled({ 'f:set': {}, 'f:named': {}, 'f:atomicList': {}, 'f:map': {} })).toEqual({ 'f:set': { '.': {}, 'v:"x"': {}, 'v:"y"': {} }, 'f:named': { '.': {}, ...item }, 'f:atomicList': {}, 'f:map': {} });
    expect(reconciler.reconciled({ 'f:set': { '.': {} }, 'f:named': { ...item, 'k:{"name":"z","protocol":"TCP"}': {} } })).toEqual({ 'f:set': { '.': {} }, 'f:named': { ...item, 'k:{"name":"z","protocol":"TCP"}': {} } });
    expect(new Reconciler(schema, {}).reconciled({ 'f:set': {} })).toEqual({ 'f:set': {} });
  });

  it('of items with the same name, or none, are a problem', () => {
    expect(itemProblems(schema, { set: ['x', 'x'], named: [{ name: 'x' }, { name: 'x', protocol: 'TCP' }, {}, 1] })).toEqual([
      '.set: duplicate entries for key [="x"]',
      '.named: duplicate entries for key [name="x",protocol="TCP"]',
      '.named: element 2: associative list with keys has an element that omits key field "name" (and doesn\'t have default value)',
      '.named: element 3: associative list with keys may not have non-map elements',
    ]);
  });
});

describe('a comparison', () => {
  it('is empty for equal values, and otherwise says what leads from one to the other', () => {
    fc.assert(
      fc.property(value, value, (before, after) => {
        const same = compare(schema, before, copyOf(before));
        for (const set of [same.added, same.modified, same.removed]) expect(isEmptySet(set)).toBe(true);
        const { added, modified, removed } = compare(schema, before, after);
        const [old, next] = [fieldsOf(schema, before), fieldsOf(schema, after)];
        const gone = difference(old, next);
        expect(textsOf(difference(gone, union(removed, modified)))).toEqual([]);
        expect(textsOf(difference(difference(next, old), union(added, modified)))).toEqual([]);
        const back = compare(schema, after, before);
        expect([equalSets(added, back.removed), equalSets(removed, back.added), equalSets(modified, back.modified)]).toEqual([true, true, true]);
      }),
      { numRuns: 500 },
    );
  });

  it('looks at items of one name together', () => {
    const twice = { named: [{ name: 'x', value: '1' }, { name: 'x', value: '2' }] };
    expect(compare(schema, twice, { named: [{ name: 'x', value: '1' }] }).modified).toEqual({ 'f:named': { 'k:{"name":"x","protocol":"TCP"}': {} } });
    expect(isEmptySet(compare(schema, twice, copyOf(twice)).modified)).toBe(true);
  });

  it('tells what was below a mapping that is something else now', () => {
    expect(compare(schema, { open: { m: { n: 1 } } }, { open: { m: 2 } })).toEqual({ added: {}, modified: { 'f:open': { 'f:m': {} } }, removed: { 'f:open': { 'f:m': { 'f:n': {} } } } });
  });
});

describe('a merge', () => {
  it('has all of the configuration, removes nothing, and done again changes nothing', () => {
    fc.assert(
      fc.property(value, value, (live, config) => {
        const merged = merge(schema, deepFreeze(live), deepFreeze(config));
        expect(merge(schema, merged, config)).toEqual(merged);
        const { removed } = compare(schema, live, merged);
        // A scalar, an atomic list or an open value may take the place of something deeper; nothing else goes.
        expect(textsOf(removed).filter((path) => !path.startsWith('f:open'))).toEqual([]);
        const left = compare(schema, config, merged);
        expect(textsOf(union(left.removed, left.modified))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['abc', 'nca', 'bnca'],
    ['abc', 'cb', 'acb'],
    ['abc', 'x', 'abcx'],
    ['abc', 'xa', 'xabc'],
    ['abcd', 'db', 'acdb'],
    ['', 'ba', 'ba'],
    ['aab', 'a', 'ab'],
  ])('of the list %s with %s is %s', (live, config, result) => {
    const list = (names: string): { name: string }[] => names.split('').map((name) => ({ name }));
    expect(order((merge(schema, { named: list(live) }, { named: list(config) }) as { named: { name: string }[] }).named)).toBe(result);
  });

  it('without all fields of a value is nothing, and without those of another leaves the rest', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const all = withNamedFields(schema, fieldsOf(schema, a));
        const rest = withoutFields(schema, deepFreeze(a), all);
        expect(textsOf(fieldsOf(schema, rest ?? {})).filter((path) => path !== '')).toEqual([]);
        const others = fieldsOf(schema, b);
        const left = withoutFields(schema, a, others) ?? {};
        expect(textsOf(compare(schema, a, left).added)).toEqual([]);
        expect(textsOf(difference(fieldsOf(schema, left), fieldsOf(schema, a))).filter((path) => path !== '')).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});
