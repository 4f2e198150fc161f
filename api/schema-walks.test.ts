import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { kinds } from './kinds.js';
import { compileDefaults, compileKnown, restSchema } from './schema-walks.js';
import type { SchemaNode } from './schema-node.js';

/** What the compiled walks must say, in the plainest words: every place of the schema, every key of the value. */
function unknownIn(schema: SchemaNode, value: unknown): boolean {
  if (Array.isArray(value)) return schema.items !== undefined && value.some((item) => unknownIn(schema.items!, item));
  if (typeof value !== 'object' || value === null || schema['x-kubernetes-preserve-unknown-fields']) return false;
  const rest = restSchema(schema);
  if (!schema.properties && !rest) return false;
  return Object.entries(value).some(([key, child]) => {
    const known = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : rest;
    return !known || unknownIn(known, child);
  });
}

function withDefaults(schema: SchemaNode, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => (schema.items ? withDefaults(schema.items, item) : item));
  if (typeof value !== 'object' || value === null) return value;
  const filled: Record<string, unknown> = { ...value };
  for (const [key, child] of Object.entries(schema.properties ?? {})) filled[key] ??= child.default;
  for (const [key, item] of Object.entries(filled)) {
    const child = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : restSchema(schema);
    if (item === undefined) delete filled[key];
    else if (child) filled[key] = withDefaults(child, item);
  }
  return filled;
}

const leaf: SchemaNode = { type: 'string' };
const schemas = fc.letrec<{ schema: SchemaNode }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<SchemaNode>(leaf, { type: 'integer', default: 0 }, { default: ['x'] }, { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }, { type: 'object' }),
    fc.record({ properties: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'toString'), tie('schema')), additionalProperties: fc.option(tie('schema'), { nil: undefined }) }) as fc.Arbitrary<SchemaNode>,
    fc.record({ items: tie('schema') }),
    fc.record({ patternProperties: fc.record({ '^a': tie('schema') }) }) as fc.Arbitrary<SchemaNode>,
  ),
})).schema;

const values = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, fc.constantFrom(1, 'text', true), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(fc.constantFrom('a', 'b', 'c', 'toString', 'constructor'), tie('value'))),
})).value;

describe('the compiled walks of a schema', () => {
  it('find an unknown field exactly where there is one', () => {
    fc.assert(fc.property(schemas, values, (schema, value) => expect(compileKnown(schema)?.(value) ?? true).toBe(!unknownIn(schema, value))), { numRuns: 500 });
  });

  it('fill in every default, and nothing else', () => {
    fc.assert(
      fc.property(schemas, values, (schema, value) => {
        const expected = withDefaults(schema, value);
        const filled: unknown = JSON.parse(JSON.stringify(value));
        compileDefaults(schema)?.(filled);
        expect(JSON.parse(JSON.stringify(filled))).toEqual(JSON.parse(JSON.stringify(expected)));
      }),
      { numRuns: 500 },
    );
  });

  it('give every object a default of its own', () => {
    const fill = compileDefaults({ properties: { list: { default: [] } } })!;
    const [a, b]: { list?: unknown[] }[] = [{}, {}];
    fill(a);
    fill(b);
    a!.list!.push(1);
    expect(b).toEqual({ list: [] });
  });

  it('look at little of a kind: labels and lists of strings are passed over', () => {
    for (const { schema } of kinds) expect(compileKnown(schema.root.properties?.['metadata']?.properties?.['labels'] ?? {})).toBeUndefined();
  });
});
