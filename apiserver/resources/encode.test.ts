import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { taskKind, type Task } from '../../api/task.js';
import type { KubeObject } from '../../api/meta.js';
import { encodeObject, Entry } from '../storage/entry.js';
import { encodeSuccessor } from './encode.js';

const text = fc.oneof(fc.string(), fc.constantFrom('","status":{"', '\\","status":{', ',"status":{', 'é"\\u0022'));
const strings = fc.dictionary(text, text, { maxKeys: 3 });
const status = fc.record({ phase: text, conditions: fc.array(fc.record({ type: text, status: text }), { maxLength: 2 }), usage: fc.dictionary(fc.constantFrom('status', 'x'), fc.jsonValue(), { maxKeys: 2 }) }, { requiredKeys: [] });

const tasks = fc
  .record({ labels: strings, annotations: strings, command: fc.array(text, { maxLength: 3 }), nodeSelector: strings, status: fc.option(status, { nil: undefined }), revision: fc.option(fc.constant('7'), { nil: undefined }), order: fc.boolean() })
  .map(({ labels, annotations, command, nodeSelector, status: has, revision, order }): Task => {
    const metadata = { ...(revision ? { resourceVersion: revision } : {}), name: 't', labels, annotations };
    const spec = { command, nodeSelector };
    const told = has ? { status: has } : {};
    const head = { apiVersion: 'taskplane.dev/v1', kind: taskKind.kind, metadata };
    return (order ? { ...head, spec, ...told } : { ...head, ...told, spec }) as unknown as Task;
  });

const stored = (object: KubeObject): Entry => new Entry('/k', encodeObject(object), 9);

describe('the text of an object', () => {
  it('is the same for one of which the status is new', () => {
    fc.assert(
      fc.property(tasks, status, (task, next) => {
        const before = stored(task);
        const successor = { ...before.object, status: next };
        expect(encodeSuccessor(before, successor)).toBe(encodeObject(successor));
      }),
      { numRuns: 300 },
    );
  });

  it('is the same where more is new than the status', () => {
    fc.assert(
      fc.property(tasks, tasks, (task, other) => {
        const before = stored(task);
        for (const successor of [other, { ...before.object, spec: other.spec }, { ...before.object, more: 1 }, { ...before.object, metadata: { ...before.object.metadata, generation: 2 } }]) {
          expect(encodeSuccessor(before, successor)).toBe(encodeObject(successor));
        }
        const { status: _status, ...without } = before.object;
        expect(encodeSuccessor(before, without as KubeObject)).toBe(encodeObject(without as KubeObject));
      }),
    );
  });
});
