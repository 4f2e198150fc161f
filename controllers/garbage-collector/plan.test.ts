import { describe, expect, it } from '@jest/globals';
import type { ObjectMeta } from '../../api/meta.js';
import { askAgainMs, planDependent, planOwner, type OwnerState } from './plan.js';

const reference = (uid: string, blockOwnerDeletion = false) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: uid, uid, blockOwnerDeletion });
const findings = (...states: OwnerState[]) => states.map((state, index) => ({ reference: reference(String(index)), state }));

describe('plan of a dependent', () => {
  it.each<[string, OwnerState[], ObjectMeta, boolean, object]>([
    ['keeps what has an owner', ['present'], {}, false, { do: 'nothing' }],
    ['keeps what never had one', [], {}, false, { do: 'nothing' }],
    ['keeps what an unknown kind owns', ['unknown'], {}, false, { do: 'nothing' }],
    ['forgets lost owners beside one that stays', ['absent', 'present', 'waiting'], {}, false, { do: 'release', ownerReferences: [reference('1')] }],
    ['deletes what has lost all', ['absent', 'absent'], {}, true, { do: 'delete', propagationPolicy: 'Background' }],
    ['deletes in the foreground below an owner that waits', ['absent', 'waiting'], {}, true, { do: 'delete', propagationPolicy: 'Foreground' }],
    ['deletes at once below an owner that waits when there is nothing further below', ['waiting'], {}, false, { do: 'delete', propagationPolicy: 'Background' }],
    ['heeds what its own finalizer asks for', ['absent'], { finalizers: ['orphan'] }, true, { do: 'delete', propagationPolicy: 'Orphan' }],
    ['leaves alone what is being deleted', ['absent'], { deletionTimestamp: 'x' }, true, { do: 'nothing' }],
  ])('%s', (_name, states, metadata, hasDependents, expected) => {
    expect(planDependent(metadata, findings(...states), hasDependents)).toEqual(expected);
  });
});

describe('plan of an owner that is being deleted', () => {
  const dependent = (uid: string, blocks: boolean) => ({ uid, metadata: { ownerReferences: [reference('me', blocks)] } });
  const me = (finalizer?: string): ObjectMeta => ({ uid: 'me', deletionTimestamp: 'x', ...(finalizer ? { finalizers: [finalizer] } : {}) });

  it('waits in the foreground for the dependents that block it, and for no others', () => {
    expect(planOwner(me('foregroundDeletion'), [dependent('a', true), dependent('b', false)])).toEqual({ do: 'await', uids: ['a'] });
    expect(planOwner(me('foregroundDeletion'), [dependent('b', false)])).toEqual({ do: 'finish', finalizer: 'foregroundDeletion' });
  });

  it('lets its dependents go before itself when it orphans them', () => {
    expect(planOwner(me('orphan'), [dependent('a', true)])).toEqual({ do: 'orphan', uids: ['a'], finalizer: 'orphan' });
    expect(planOwner(me('orphan'), [])).toEqual({ do: 'finish', finalizer: 'orphan' });
  });

  it('leaves finalizers of others alone', () => {
    expect(planOwner(me('example.com/x'), [dependent('a', true)])).toEqual({ do: 'nothing' });
    expect(planOwner({ uid: 'me', finalizers: ['orphan'] }, [])).toEqual({ do: 'nothing' });
  });
});

describe('asking for an owner that is in no copy', () => {
  it('takes seconds for a few dependents, and for many as long as the server can bear', () => {
    expect(askAgainMs(1)).toBe(5_000);
    for (const asking of [10, 1_000, 100_000]) expect(asking / (askAgainMs(asking) / 1_000)).toBeLessThanOrEqual(200);
  });
});
