import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { stringIn, valueIn } from './json-text.js';

describe('stringIn', () => {
  it('finds what JSON.parse finds, in any mapping', () => {
    const keys = fc.constantFrom('a', 'nodeName', 'b"{', '\\', '');
    const mapping = fc.dictionary(keys, fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue(), fc.constant('\\"}{')));
    fc.assert(
      fc.property(mapping, fc.constantFrom('a', 'nodeName', 'absent'), (object, key) => {
        const value = Object.hasOwn(object, key) ? object[key] : undefined;
        const json = `{"before":"{","it":${JSON.stringify(object)},"after":{"nodeName":"no"}}`;
        const text = valueIn(json, json.indexOf('"it":') + 5, key);
        expect(text === undefined ? undefined : JSON.parse(text)).toEqual(value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
        expect(stringIn(json, json.indexOf('"it":') + 5, key)).toBe(typeof value === 'string' ? (JSON.parse(JSON.stringify(value)) as string) : undefined);
      }),
    );
  });

  it('finds nothing where there is no mapping', () => {
    for (const json of ['null', '"nodeName"', '[]', '']) expect(stringIn(json, 0, 'nodeName')).toBeUndefined();
  });
});
