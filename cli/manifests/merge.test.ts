import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { KubeObject } from '../../api/meta.js';
import { lastAppliedAnnotation, planApply, withLastApplied } from './merge.js';

type Mapping = Record<string, unknown>;

/** RFC 7396, what the server does with the patch. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Mapping = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...(target as Mapping) } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** As the server stores it: nulls are absent. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null).map(([key, inner]) => [key, withoutNulls(inner)]));
}

function task(spec: Mapping, metadata: Mapping = {}): KubeObject {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default', ...metadata }, spec } as KubeObject;
}

/** What the server holds after the plan was carried out. */
function carriedOut(wanted: KubeObject, current: KubeObject | undefined): KubeObject {
  const plan = planApply(wanted, current);
  if (plan.action === 'create') return withoutNulls(plan.object) as KubeObject;
  return plan.action === 'patch' ? (mergePatch(current, plan.patch) as KubeObject) : current!;
}

const values = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 }), tie('mapping')),
  mapping: fc.dictionary(fc.constantFrom('a', 'b', 'c', '10', '9', 'x<y'), tie('value'), { maxKeys: 4 }),
}));
const specs = values.mapping as fc.Arbitrary<Mapping>;

describe('planApply', () => {
  it('creates what is not there, with the configuration in the annotation as kubectl writes it', () => {
    const plan = planApply(task({ script: 'a && b' }), undefined);
    expect(plan).toEqual({
      action: 'create',
      object: task({ script: 'a && b' }, {
        annotations: {
          [lastAppliedAnnotation]: '{"apiVersion":"taskplane.dev/v1","kind":"Task","metadata":{"annotations":{},"name":"t","namespace":"default"},"spec":{"script":"a \\u0026\\u0026 b"}}\n',
        },
      }),
    });
  });

  it('sends nothing for the same manifest a second time', () => {
    const stored = carriedOut(task({ command: ['x'] }), undefined);
    expect(planApply(task({ command: ['x'] }), { ...stored, status: { phase: 'Running' } })).toEqual({ action: 'unchanged' });
  });

  it('takes away a field that the manifest has dropped, and keeps one that someone else has set', () => {
    const first = carriedOut(task({ command: ['x'], priority: 5 }), undefined);
    const touched = { ...first, spec: { ...(first.spec as Mapping), restartPolicy: 'Never' } };
    const plan = planApply(task({ command: ['x'] }), touched);
    expect(plan).toMatchObject({ action: 'patch', patch: { spec: { priority: null } } });
    expect((mergePatch(touched, (plan as { patch: Mapping }).patch) as KubeObject).spec).toEqual({ command: ['x'], restartPolicy: 'Never' });
  });

  it('replaces lists as a whole', () => {
    const first = carriedOut(task({ args: ['a', 'b'] }), undefined);
    expect(planApply(task({ args: ['b'] }), first)).toMatchObject({ patch: { spec: { args: ['b'] } } });
  });

  it('takes over an object that was not made by apply without dropping anything of it', () => {
    const plan = planApply(task({ priority: 1 }), task({ priority: 1, script: 'x' }));
    expect(plan).toEqual({ action: 'patch', patch: { metadata: { annotations: { [lastAppliedAnnotation]: expect.any(String) } } } });
  });

  it('leaves nothing to do when it is carried out, whatever was applied before and whatever others have set', () => {
    fc.assert(
      fc.property(specs, specs, specs, (before, others, wanted) => {
        const first = carriedOut(task(before), undefined);
        const current = mergePatch(first, { spec: withoutNulls(others) }) as KubeObject;
        const next = carriedOut(task(wanted), current);
        expect(planApply(task(wanted), next)).toEqual({ action: 'unchanged' });
      }),
    );
  });

  it('never keeps the annotation inside itself', () => {
    const twice = withLastApplied(withLastApplied(task({ script: 'x' })));
    expect(twice).toEqual(withLastApplied(task({ script: 'x' })));
  });
});
