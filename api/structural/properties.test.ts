// Whatever anybody writes as a schema, a rule or a value: problems, never another throw; and what is done to values settles.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { invalid } from '../errors.js';
import { checkStructural } from './check.js';
import { columnProblems, columnsOf } from './columns.js';
import { copyOf } from './json.js';
import { scaleOf, scaleProblems, withReplicas, type ScalePaths } from './scale.js';
import { selectableFieldsOf, selectableProblems } from './selectable-fields.js';
import { StructuralSchema } from './structural-schema.js';
import { cronTab, route } from './testing.js';

const key = fc.constantFrom('a', 'b', 'spec', 'name', 'metadata', 'kind', '__proto__', 'constructor', 'x.y');
const scalar = fc.oneof(fc.constantFrom('', 'a', 'string', 'object', 'date-time', '^a', '('), fc.integer({ min: -2, max: 12 }), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null));

const keyword = fc.constantFrom(
  'type', 'properties', 'items', 'additionalProperties', 'required', 'enum', 'default', 'nullable', 'pattern', 'format', 'minimum', 'maximum', 'multipleOf', 'minLength', 'maxLength', 'minItems', 'maxItems',
  'minProperties', 'anyOf', 'allOf', 'oneOf', 'not', '$ref', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-int-or-string', 'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource',
  'x-kubernetes-validations', 'x-kubernetes-map-type',
);

/** Anything with the words of a schema in it. */
const wild = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof({ maxDepth: 5, withCrossShrink: true }, scalar, fc.array(tie('any'), { maxLength: 3 }), fc.dictionary(fc.oneof(keyword, key), tie('any'), { maxKeys: 5 })),
})).any;

const rule = fc.record({ rule: fc.constantFrom('self == oldSelf', 'has(self.a)', 'self.a > 1', 'self.all(x, x != "")', 'size(self) < 3', '1 / 0 == 1', ')', ''), messageExpression: fc.constantFrom('"x"', 'string(self)', '') });

/** Mostly right ones. */
const sensible = fc.letrec<{ node: Record<string, unknown>; fields: Record<string, unknown> }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'node' },
    fc.record({ type: fc.constant('string'), default: fc.constantFrom('a', 'bc'), enum: fc.constant(['a', 'bc', '']), nullable: fc.boolean() }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constant('integer'), minimum: fc.constant(0), default: fc.constant(3), 'x-kubernetes-validations': fc.array(rule, { maxLength: 1 }) }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constant('array'), items: tie('node'), 'x-kubernetes-list-type': fc.constantFrom('atomic', 'set') }, { requiredKeys: ['type', 'items'] }),
    fc.record({ type: fc.constant('object'), properties: tie('fields'), default: fc.constant({}), 'x-kubernetes-validations': fc.array(rule, { maxLength: 2 }), 'x-kubernetes-preserve-unknown-fields': fc.constant(true) }, { requiredKeys: ['type', 'properties'] }),
    fc.record({ type: fc.constant('object'), additionalProperties: tie('node') }),
    fc.record({ 'x-kubernetes-int-or-string': fc.constant(true) }),
  ),
  fields: fc.dictionary(fc.constantFrom('a', 'b', 'x.y', 'spec'), tie('node') as fc.Arbitrary<Record<string, unknown>>, { maxKeys: 3 }),
}));
const root = sensible.fields.map((properties) => ({ type: 'object', properties: { spec: { type: 'object', properties } } }));
const value = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof({ maxDepth: 5 }, scalar, fc.array(tie('any'), { maxLength: 3 }), fc.dictionary(key, tie('any'), { maxKeys: 4 })),
})).any;
const object = value.map((spec) => ({ apiVersion: 'a/v1', kind: 'A', metadata: { name: 'a' }, spec }));

function useAll(schema: unknown, given: unknown, old: unknown): void {
  const rules = new StructuralSchema(schema);
  const copy = copyOf(given);
  void [rules.root, rules.openApiV2(), rules.unknownFields(copy)];
  const said = [...rules.problems(copy), ...rules.ruleProblems(copy, old)];
  rules.prune(copy);
  rules.applyDefaults(copy);
  said.push(...rules.problems(copy), ...rules.ruleProblems(copy));
  // Each can be told in a Status.
  void invalid({ group: 'a', plural: 'as', kind: 'A' }, 'a', said).toStatus();
}

describe('schemas of any JSON', () => {
  it('give problems, never another throw', () => {
    fc.assert(
      fc.property(wild, value, value, (schema, given, old) => {
        expect(Array.isArray(checkStructural(schema, 'p'))).toBe(true);
        useAll(schema, given, old);
      }),
      { numRuns: 600 },
    );
  });

  it('of the right form are used on any value', () => {
    fc.assert(
      fc.property(root, object, object, (schema, given, old) => {
        void checkStructural(schema, 'p');
        useAll(schema, given, old);
      }),
      { numRuns: 400 },
    );
  });

  it('settle: pruning, defaults and both again change nothing more', () => {
    fc.assert(
      fc.property(fc.oneof(root, fc.constantFrom<unknown>(cronTab, route)), object, (schema, given) => {
        const rules = new StructuralSchema(schema);
        const once = copyOf(given);
        rules.prune(once);
        expect(rules.unknownFields(once)).toEqual([]);
        rules.applyDefaults(once);
        const twice = copyOf(once);
        rules.prune(twice);
        rules.applyDefaults(twice);
        expect(twice).toEqual(once);
      }),
      { numRuns: 400 },
    );
  });

  it('keep what is valid valid when defaults are filled in', () => {
    fc.assert(
      fc.property(root, object, (schema, given) => {
        fc.pre(checkStructural(schema, 'p').length === 0);
        const rules = new StructuralSchema(schema);
        const copy = copyOf(given);
        rules.prune(copy);
        const before = rules.problems(copy);
        rules.applyDefaults(copy);
        if (before.length === 0) expect(rules.problems(copy)).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  it('read any columns, scales and selectable fields', () => {
    const part = fc.oneof(wild, fc.array(fc.record({ name: fc.constant('C'), type: fc.constantFrom('string', 'date', 'integer', 'nope'), jsonPath: fc.oneof(fc.constantFrom('.spec.a', '.spec[*]', '..a', '.[', '.spec.x\\.y'), fc.string()) })));
    fc.assert(
      fc.property(part, object, fc.string(), (given, of, path) => {
        void [columnProblems(given, 'p'), scaleProblems(given, 'p'), selectableProblems(given, cronTab, 'p')];
        for (const column of columnsOf(given)) void column.cell(of, 0);
        for (const read of Object.values(selectableFieldsOf(given))) expect(typeof read(of)).toBe('string');
        const paths: ScalePaths = { specReplicasPath: path, statusReplicasPath: path };
        void scaleOf(withReplicas(of, paths, 3), paths);
      }),
      { numRuns: 400 },
    );
  });
});
