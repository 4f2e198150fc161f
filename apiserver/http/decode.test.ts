import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeBody } from './decode.js';
import { countKeys, findRepeatedKeys, repeatedFields } from '../resources/repeated-keys.js';

describe('keys that are said twice', () => {
  it.each([
    ['{"a":1,"a":2}', ['a']],
    ['{ "a" : {"b":1,\n"b" :2}, "c":[{"d":1},{"d":1,"d":"\\"d\\":"}] }', ['a.b', 'c[1].d']],
    ['{"a":"a","b":["a","a"],"c":{"a":1}}', []],
    ['{"a\\u0062":1,"ab":2,"\\\\":3,"\\"":4}', ['ab']],
    ['{"__proto__":1,"__proto__":2}', ['__proto__']],
    ['[]', []],
    ['"a"', []],
  ])('are found in %s', (text, paths) => {
    expect(findRepeatedKeys(text)).toEqual(paths);
    if (text.startsWith('{')) expect(repeatedFields(decodeBody(Buffer.from(text), undefined))).toEqual(paths);
  });

  it('are none in what JSON.stringify writes, whatever it is', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        const once = JSON.stringify(JSON.parse(text));
        expect(findRepeatedKeys(once)).toEqual([]);
        expect(countKeys(JSON.parse(once))).toBe(colonsOutsideOfStrings(once));
      }),
    );
  });

  it('are found in YAML too', () => {
    expect(repeatedFields(decodeBody(Buffer.from('a:\n  b: 1\n  b: 2\nc: [{d: 1, d: 2}]'), 'application/yaml'))).toEqual(['a.b', 'c[0].d']);
  });
});

function colonsOutsideOfStrings(text: string): number {
  return text.replaceAll(/"(\\.|[^"\\])*"/g, '').split(':').length - 1;
}
