import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { KubeObject } from '../../api/meta.js';
import { encodeObject } from '../storage/entry.js';
import { withoutManagedFields } from './without-managed-fields.js';

const rendered = (object: KubeObject) => ({ object, json: encodeObject(object) });

describe('withoutManagedFields', () => {
  it('leaves out managedFields and nothing else, wherever it stands and whatever is in it', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom('"managedFields":[', ']', '\\', '\\"', 'k:{"name":"a]"}'));
    const fields = fc.array(fc.record({ manager: text, fieldsV1: fc.dictionary(text, fc.record({ '.': fc.constant({}) })) }), { maxLength: 3 });
    const labels = fc.dictionary(text, text, { maxKeys: 3 });
    fc.assert(
      fc.property(labels, fields, labels, fc.boolean(), fc.boolean(), (annotations, managedFields, spec, first, last) => {
        const rest = { name: 'a', annotations };
        const owners = { managedFields };
        const metadata = { ...(first ? owners : {}), ...rest, ...(!first ? owners : {}), ...(last ? { uid: 'u' } : {}) };
        const object = { apiVersion: 'v1', kind: 'Thing', metadata, spec: { ...spec, managedFields: [1] } } as unknown as KubeObject;
        const { managedFields: _out, ...kept } = metadata;
        expect(JSON.parse(withoutManagedFields(rendered(object)))).toEqual({ ...object, metadata: kept });
      }),
    );
  });

  it('leaves an object alone that has none, but something of that name elsewhere', () => {
    const object = { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a' }, spec: { managedFields: [1] } } as KubeObject;
    expect(withoutManagedFields(rendered(object))).toBe(rendered(object).json);
  });
});
