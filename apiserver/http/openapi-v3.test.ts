import { describe, expect, it } from '@jest/globals';
import { kinds } from '../../api/kinds.js';
import { StructuralSchema } from '../../api/structural/index.js';
import { toOpenApi } from './openapi-v3.js';

describe('a schema in OpenAPI v3', () => {
  it('says all that a user wrote of a kind', () => {
    const spec = {
      type: 'object',
      required: ['a'],
      properties: {
        a: { type: 'string', title: 'A', pattern: '^x', maxLength: 3, nullable: true, default: 'x', enum: ['x', 'xy'] },
        b: { type: 'integer', minimum: 1, exclusiveMinimum: true, maximum: 9, multipleOf: 2, format: 'int32' },
        list: { type: 'array', minItems: 1, maxItems: 2, 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
        labels: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 3 },
        open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        any: { type: 'object', additionalProperties: true },
      },
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
      anyOf: [{ required: ['list'] }, { properties: { b: { minimum: 3 } } }],
      allOf: [{ not: { required: ['open'] } }],
      'x-kubernetes-map-type': 'granular',
      'x-kubernetes-validations': [{ rule: 'has(self.a)', message: 'a is needed' }],
    };
    const { properties } = toOpenApi(new StructuralSchema({ type: 'object', properties: { spec } }).root) as { properties: Record<string, unknown> };
    expect(properties['spec']).toEqual(spec);
    expect(properties['metadata']).toMatchObject({ type: 'object', properties: { creationTimestamp: { type: 'string', format: 'date-time', nullable: true } } });
  });

  it('has only words that OpenAPI 3.0 knows', () => {
    const looked = JSON.stringify(kinds.map((kind) => toOpenApi(kind.schema.root)));
    expect(looked).not.toMatch(/"patternProperties"|"type":"null"|"exclusiveMinimum":\d|"const"/);
  });
});
