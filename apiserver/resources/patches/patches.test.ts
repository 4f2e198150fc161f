import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../../api/errors.js';
import { deepFreeze } from '../../../lib/deep-freeze.js';
import { applyJsonPatch } from './json-patch.js';
import { applyMergePatch } from './merge-patch.js';
import { applyStrategicMergePatch } from './strategic-merge-patch.js';

const json = fc.jsonValue({ maxDepth: 4 });
const mapping = fc.dictionary(fc.string({ maxLength: 4 }), json, { maxKeys: 5 });

/** Without what a patch cannot set: null, which removes, and `__proto__`, which is left out. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key, child]) => child !== null && key !== '__proto__').map(([key, child]) => [key, withoutNulls(child)]));
}

describe('merge patch', () => {
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [['a', 'b'], ['c', 'd'], ['c', 'd']],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j (RFC 7396, appendix A)', (document, patch, result) => {
    expect(applyMergePatch(document, patch)).toEqual(result);
  });

  it('changes neither argument, and applied again changes nothing', () => {
    fc.assert(
      fc.property(json, mapping, (document, patch) => {
        const once = applyMergePatch(deepFreeze(document), deepFreeze(patch));
        expect(applyMergePatch(once, patch)).toEqual(once);
      }),
    );
  });

  it('of a value without nulls onto nothing is that value', () => {
    fc.assert(fc.property(mapping.map(withoutNulls), (value) => void expect(applyMergePatch({}, value)).toEqual(value)));
  });
});

describe('strategic merge patch', () => {
  const node = { spec: { taints: [{ key: 'a' }], unschedulable: true }, metadata: { finalizers: ['x', 'y'] }, status: { conditions: [{ type: 'Ready', status: 'True', reason: 'r' }, { type: 'Disk', status: 'True' }] } };

  it.each<[string, unknown, unknown]>([
    ['merges mappings and removes by null', { spec: { unschedulable: null, podCIDR: 'x' } }, { ...node, spec: { taints: [{ key: 'a' }], podCIDR: 'x' } }],
    ['replaces taints as a whole', { spec: { taints: [{ key: 'b' }] } }, { ...node, spec: { ...node.spec, taints: [{ key: 'b' }] } }],
    [
      'merges conditions by type, and puts them in the order that the patch gives',
      { status: { '$setElementOrder/conditions': [{ type: 'New' }, { type: 'Ready' }], conditions: [{ type: 'New', status: 'True' }, { type: 'Ready', status: 'False' }] } },
      { ...node, status: { conditions: [{ type: 'New', status: 'True' }, { type: 'Ready', status: 'False', reason: 'r' }, { type: 'Disk', status: 'True' }] } },
    ],
    [
      'puts a list in another order without a change to it',
      { status: { '$setElementOrder/conditions': [{ type: 'Disk' }, { type: 'Ready' }] } },
      { ...node, status: { conditions: [{ type: 'Disk', status: 'True' }, { type: 'Ready', status: 'True', reason: 'r' }] } },
    ],
    ['takes the order of the patch without a word about it', { metadata: { finalizers: ['z', 'y'] } }, { ...node, metadata: { finalizers: ['z', 'x', 'y'] } }],
    ['deletes an item', { status: { conditions: [{ $patch: 'delete', type: 'Ready' }] } }, { ...node, status: { conditions: [{ type: 'Disk', status: 'True' }] } }],
    ['replaces a list of items', { status: { conditions: [{ $patch: 'replace' }, { type: 'Only', status: 'True' }] } }, { ...node, status: { conditions: [{ type: 'Only', status: 'True' }] } }],
    ['deletes in a list whose order it gives', { status: { '$setElementOrder/conditions': [{ type: 'Disk' }], conditions: [{ $patch: 'delete', type: 'Ready' }] } }, { ...node, status: { conditions: [{ type: 'Disk', status: 'True' }] } }],
    ['replaces a mapping', { spec: { $patch: 'replace', podCIDR: 'x' } }, { ...node, spec: { podCIDR: 'x' } }],
    ['deletes a mapping', { spec: { $patch: 'delete' } }, { ...node, spec: {} }],
    ['adds to finalizers', { metadata: { finalizers: ['y', 'z'] } }, { ...node, metadata: { finalizers: ['x', 'y', 'z'] } }],
    ['takes away from finalizers', { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } }, { ...node, metadata: { finalizers: ['y'] } }],
    ['retains keys', { spec: { $retainKeys: ['taints', 'podCIDR'], podCIDR: 'x' } }, { ...node, spec: { taints: [{ key: 'a' }], podCIDR: 'x' } }],
  ])('%s', (_, patch, result) => {
    expect(applyStrategicMergePatch(deepFreeze(node), deepFreeze(patch))).toEqual(result);
  });

  it.each([
    [{ spec: { $patch: 'explode' } }, 'unknown patch type: "explode"'],
    [{ spec: { $retainKeys: ['taints'], podCIDR: 'x' } }, 'invalid patch format of retainKeys: podCIDR is in the patch'],
    [{ spec: { $retainKeys: 'taints' } }, 'invalid patch format of retainKeys'],
    [{ '$setElementOrder/conditions': 1 }, 'invalid patch format of setElementOrder list'],
    [{ '$deleteFromPrimitiveList/finalizers': 1 }, 'invalid patch format of primitive list'],
    [{ status: { '$setElementOrder/conditions': [{ type: 'Disk' }], conditions: [{ type: 'Ready', status: 'False' }] } }, "doesn't match $setElementOrder/conditions list"],
    [{ status: { conditions: [[]] } }, 'lists of lists are not supported'],
    [{ $what: 1 }, 'unknown directive "$what"'],
    [{ status: { conditions: [{ status: 'True' }] } }, 'map: conditions does not contain declared merge key: type'],
    [{ status: { conditions: ['Ready'] } }, 'items of conditions must be mappings'],
    [[], 'a strategic merge patch must be a mapping'],
  ])('refuses %j', (patch, message) => {
    expect(() => applyStrategicMergePatch(node, patch)).toThrow(message);
  });

  it('either patches or refuses with a client error, whatever it is', () => {
    const words = ['a', 'conditions', 'finalizers', '$patch', '$retainKeys', '$setElementOrder/conditions', '$setElementOrder/finalizers', '$deleteFromPrimitiveList/finalizers', 'type', '__proto__'];
    const any = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.constantFrom<unknown>(null, 0, 'x', 'replace', 'delete', 'type', [], {}), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(fc.constantFrom(...words), tie('value'), { maxKeys: 4 })),
    })).value;
    fc.assert(
      fc.property(any, any, (document, patch) => {
        try {
          applyStrategicMergePatch(document, patch);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
          expect([400, 422]).toContain((error as ApiError).code);
        }
      }),
      { numRuns: 1000 },
    );
    expect(({} as Record<string, unknown>)['type']).toBeUndefined();
  });

  it('does what a merge patch does where there are no lists and directives', () => {
    const plain = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof({ maxDepth: 3 }, fc.constantFrom(1, 'x', true, null), fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'))),
    })).value;
    const plainMapping = fc.dictionary(fc.constantFrom('a', 'b', 'c'), plain);
    fc.assert(fc.property(plainMapping, plainMapping, (document, patch) => void expect(applyStrategicMergePatch(document, patch)).toEqual(applyMergePatch(document, patch))));
  });
});

describe('JSON patch', () => {
  it('does not let a copy share what it copied', () => {
    const result = applyJsonPatch({ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }, { op: 'add', path: '/c/d', value: 2 }]);
    expect(result).toEqual({ a: { b: 1 }, c: { b: 1, d: 2 } });
  });

  it('leaves the patch as it was, so that it can be applied again', () => {
    const patch = deepFreeze([{ op: 'add', path: '/a', value: {} }, { op: 'add', path: '/a/b', value: 1 }]);
    expect(applyJsonPatch({}, patch)).toEqual({ a: { b: 1 } });
    expect(applyJsonPatch({}, patch)).toEqual({ a: { b: 1 } });
  });

  it('either patches or refuses with a client error, whatever the operations', () => {
    const pointer = fc.oneof(fc.constantFrom('', '/', '/a', '/a/b', '/a/0', '/a/-', '/__proto__', '/constructor/x', 'a', '/a~2', '/~01'), fc.string({ maxLength: 5 }));
    const operation = fc.record(
      { op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'), path: pointer, from: pointer, value: json },
      { requiredKeys: ['op'] },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b'), json), fc.array(fc.oneof(operation, json), { maxLength: 5 }), (document, operations) => {
        try {
          applyJsonPatch(JSON.parse(JSON.stringify(document)), operations);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
          expect([400, 413, 422]).toContain((error as ApiError).code);
        }
      }),
      { numRuns: 500 },
    );
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });
});
