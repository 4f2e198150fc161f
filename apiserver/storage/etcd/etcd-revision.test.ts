import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { batchOpsMax, changesOf, decodeValue, endOfRevision, etcdRevisionOf, revisionOf, slotMax, slotOf, valueSuffix, type EtcdEvent } from './etcd-revision.js';
import { outcomesOf, type EtcdWrite } from './etcd-txn.js';

describe('etcd revisions', () => {
  it('carry revision and slot there and back, up to what a number holds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 0, max: slotMax }), (etcdRevision, slot) => {
        const revision = revisionOf(etcdRevision, slot);
        expect([etcdRevisionOf(revision), slotOf(revision)]).toEqual([etcdRevision, slot]);
        expect(revision).toBeLessThan(endOfRevision(etcdRevision) + 1);
      }),
    );
  });

  it('carry the slot behind the stored text, whatever the text is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: batchOpsMax - 1 }), (value, slot) => {
        expect(decodeValue(Buffer.from(value + valueSuffix(slot)))).toEqual({ value, slot });
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: batchOpsMax }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.integer({ min: 1, max: 2 ** 31 }), (value, slot, id, ttlMs) => {
        const keeper = { server: id.toString(16).padStart(16, '0'), ttlMs };
        expect(decodeValue(Buffer.from(value + valueSuffix(slot, keeper)))).toEqual({ value, slot, keeper });
      }),
    );
    expect(decodeValue(Buffer.from('{"by":"another program"}'))).toEqual({ value: '{"by":"another program"}', slot: 0 });
    expect(decodeValue(Buffer.from(''))).toEqual({ value: '', slot: 0 });
  });

  it('are the same for the writer of a batch and for those who watch it', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ op: fc.constantFrom('create', 'delete'), succeeds: fc.boolean() }), { minLength: 1, maxLength: batchOpsMax }), fc.integer({ min: 1, max: 10 ** 9 }), (plan, etcdRevision) => {
        const batch = plan.map(({ op }, n): EtcdWrite => (op === 'create' ? { op, key: `k${n}`, value: '{}' } : { op: 'delete', key: `k${n}`, revision: 4_096 }));
        const results = plan.map(({ succeeds }) => ({ succeeded: succeeds, current: undefined }));
        const outcomes = outcomesOf(batch, { etcdRevision, results });
        const events = plan.flatMap(({ op, succeeds }, n): EtcdEvent[] => {
          const event = { key: `k${n}`, etcdRevision, revision: 0 };
          if (!succeeds) return [];
          return [op === 'create' ? { ...event, type: 'put', value: '{}', slot: n } : { ...event, type: 'delete', value: '', slot: 0 }];
        });
        const told = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.revision] : []));
        expect(changesOf(events).map(({ revision }) => revision)).toEqual(told);
        expect(told).toEqual([...new Set(told)].toSorted((a, b) => a - b));
      }),
    );
  });
});
