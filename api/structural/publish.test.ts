import { describe, expect, it } from '@jest/globals';
import type { SchemaNode } from '../schema.js';
import { StructuralSchema } from './structural-schema.js';
import { cronTab } from './testing.js';

const fieldsOf = (node: SchemaNode): Record<string, SchemaNode> => node.properties!;

describe('the schema that clients are told', () => {
  const root = new StructuralSchema(cronTab).root;
  const spec = fieldsOf(fieldsOf(root)['spec']!);

  it('has what every object has, also inside', () => {
    expect(Object.keys(fieldsOf(root))).toEqual(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
    expect(fieldsOf(fieldsOf(root)['metadata']!)).toHaveProperty('labels');
    expect(Object.keys(fieldsOf(spec['template']!))).toEqual(['apiVersion', 'kind', 'metadata']);
    expect(root).not.toHaveProperty('x-kubernetes-embedded-resource');
  });

  it('keeps every word of the schema', () => {
    expect(spec['suspend']).toEqual({ type: 'boolean', nullable: true });
    expect(spec['port']).toEqual({ 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] });
    expect(spec['json']).toEqual({ 'x-kubernetes-preserve-unknown-fields': true });
    expect(spec['tags']).toMatchObject({ 'x-kubernetes-list-type': 'set' });
    expect(spec['steps']).toMatchObject({ maxItems: 5, 'x-kubernetes-list-map-keys': ['name'], items: { required: ['name'] } });
    expect(fieldsOf(root)['spec']).toMatchObject({ required: ['image'], 'x-kubernetes-validations': [{ fieldPath: '.replicas' }] });
  });

  it('says less in OpenAPI v2', () => {
    const v2 = new StructuralSchema({
      type: 'object',
      required: ['spec'],
      properties: {
        spec: {
          type: 'object',
          required: ['a', 'maybe'],
          properties: {
            a: { type: 'string', pattern: '^x', anyOf: [{ minLength: 1 }], default: 'x' },
            maybe: { type: 'object', nullable: true, properties: { b: { type: 'string' } } },
            open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { b: { type: 'string' } } },
            list: { type: 'array', nullable: true, items: { type: 'string' } },
            labels: { type: 'object', additionalProperties: { type: 'string' } },
          },
        },
      },
    }).openApiV2();
    expect(v2.required).toEqual(['spec']);
    expect(fieldsOf(v2)['spec']).toEqual({
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'string', pattern: '^x' }, maybe: {}, open: { 'x-kubernetes-preserve-unknown-fields': true }, list: {}, labels: { type: 'object', additionalProperties: { type: 'string' } } },
    });
    expect(new StructuralSchema({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { a: { type: 'string' } } }).openApiV2()).toEqual({ type: 'object' });
  });
});
