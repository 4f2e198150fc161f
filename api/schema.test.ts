import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { Type } from 'typebox';
import { kinds } from './kinds.js';
import { ObjectSchema } from './schema.js';

describe('ObjectSchema', () => {
  it.each(kinds.map((kind) => [kind.kind, kind.schema.root] as const))('of the kind %s is a JSON schema', (_name, root) => {
    const ajv = new Ajv({ strict: false });
    expect(ajv.validateSchema(root)).toBe(true);
    expect(ajv.errors ?? []).toEqual([]);
  });

  it('finds nothing wrong with what has its shape, and every problem with what has not', () => {
    const schema = new ObjectSchema(Type.Object({ name: Type.String({ minLength: 1 }), time: Type.Optional(Type.String({ format: 'date-time' })), amount: Type.Union([Type.String(), Type.Number()]) }));
    expect(schema.problems({ name: 'a', amount: 1, more: true })).toEqual([]);
    expect(schema.problems({ name: '', time: 'yesterday', amount: [] }).map(({ field }) => field)).toEqual(['name', 'time', 'amount']);
    expect(schema.problems({ name: 'b', amount: '1' })).toEqual([]);
    expect(schema.problems('text')).toMatchObject([{ field: '', reason: 'FieldValueTypeInvalid' }]);
  });
});
