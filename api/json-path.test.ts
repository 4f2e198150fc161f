import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { JsonPathError, parseJsonPath } from './json-path.js';

const object = {
  kind: 'Thing',
  spec: { replicas: 3, 'a.b': 'dotted', "it's": 'quoted', list: [{ name: 'a', port: 80 }, { name: 'b', port: 443 }, { name: 'c' }] },
  metadata: { labels: { 'app.kubernetes.io/name': 'x' }, name: 'thing' },
  status: { conditions: [{ type: 'Ready', status: 'True' }, { type: 'Live', status: 'False' }] },
};

describe('parseJsonPath', () => {
  it.each<[string, unknown[]]>([
    ['.kind', ['Thing']],
    ['{.kind}', ['Thing']],
    ['$.kind', ['Thing']],
    ['.spec.replicas', [3]],
    ['.spec.nope.deeper', []],
    ['.spec.a\\.b', ['dotted']],
    [".spec['a.b']", ['dotted']],
    ['.spec["it\'s"]', ['quoted']],
    [".metadata.labels['app.kubernetes.io/name']", ['x']],
    ['.metadata.labels.app\\.kubernetes\\.io/name', ['x']],
    ['.spec.list[0].name', ['a']],
    ['.spec.list[-1].name', ['c']],
    ['.spec.list[9].name', []],
    ['.spec.list[*].name', ['a', 'b', 'c']],
    ['.spec.list[0:2].name', ['a', 'b']],
    ['.spec.list[1:].name', ['b', 'c']],
    ['.spec.list[::2].name', ['a', 'c']],
    ['.spec.list[0,2].name', ['a', 'c']],
    [".spec.list[0]['name','port']", ['a', 80]],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [".status.conditions[?(@.type == 'Live')].status", ['False']],
    ['.status.conditions[?(@.type!="Ready")].type', ['Live']],
    ['.spec.list[?(@.port>80)].name', ['b']],
    ['.spec.list[?(@.port<=80)].name', ['a']],
    ['.spec.list[?(@.port)].name', ['a', 'b']],
    ['..name', ['a', 'b', 'c', 'thing']],
    ['.metadata.*', [{ 'app.kubernetes.io/name': 'x' }, 'thing']],
    ['.', [object]],
  ])('%s', (path, expected) => {
    expect(parseJsonPath(path)(object)).toEqual(expected);
  });

  it.each(['.a[', '.a[x]', '.a]', '.a..', 'kind', '.a[?(@.b==)]', '.a[?(@.b', ".a['b", '.a b', '.a[0:1:0]', `.${'a'.repeat(5_000)}`])('refuses %s', (path) => {
    expect(() => parseJsonPath(path)).toThrow(JsonPathError);
  });

  it('looks at so much and no more, whatever the path asks for', () => {
    const list = Array.from({ length: 5_000 }, (_, at) => ({ at, name: `n${at}` }));
    let looks = 0;
    const counted = list.map((item) => new Proxy(item, { get: (target, key) => (looks++, Reflect.get(target, key)) as unknown, ownKeys: (target) => (looks++, Reflect.ownKeys(target)) }));
    for (const path of ['.a[?(@.at == $..missing)]', '.a[?($..[?($..[?($..at)])])]', `.a[${Array.from({ length: 500 }, () => '*').join()}].at`, '..*..*..*..at']) {
      looks = 0;
      expect(Array.isArray(parseJsonPath(path)({ a: counted }))).toBe(true);
      expect(looks).toBeLessThan(1_500_000);
    }
    expect(parseJsonPath('.a[?(@.name=="n4999")].at')({ a: list })).toEqual([4_999]);
  });

  it('either reads a text or throws its own error, and never throws on a value', () => {
    const word = fc.constantFrom('.', '..', '[', ']', '*', 'a', "'a'", '0', '-1', ':', ',', '?(', ')', '@', '==', '<', '"x"', ' ', '$', '\\', '{', '}');
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), fc.jsonValue(), (words, value) => {
        try {
          const found = parseJsonPath(words.join(''))(value);
          expect(Array.isArray(found)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(JsonPathError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
