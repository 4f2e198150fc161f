import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import fc from 'fast-check';
import { decodeRange, decodeWatch, encodeRange, encodeWatch } from './etcd-messages.js';
import { revisionOf, valueSuffix } from './etcd-revision.js';
import { decodeTxn, encodeTxn, noteKey, serversPrefix, type EtcdWrite } from './etcd-txn.js';

interface Method {
  readonly requestSerialize: (message: object) => Buffer;
  readonly requestDeserialize: (buffer: Buffer) => object;
  readonly responseSerialize: (message: object) => Buffer;
}

/** How etcd3 itself encodes, which reads the messages' definition from etcd. */
class Oracle extends Etcd3 {
  method(service: 'KV' | 'Watch', name: string): Promise<Method> {
    return this.pool.withConnection(service, ({ client }) => (client.constructor as unknown as { service: Record<string, Method> }).service[name]!);
  }
}

const key = fc.string({ minLength: 1, maxLength: 40 });
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.constant('é'.repeat(200)));
const revision = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 40 }));
const lease = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n });
const keeper = fc.record({ server: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((id) => id.toString(16).padStart(16, '0')), ttlMs: fc.integer({ min: 1, max: 2 ** 31 }) });
const slot = fc.integer({ min: 0, max: 999 });
const header = { cluster_id: '14841639068965178418', member_id: '10276657743932975437', raft_term: '7' };
const kv = fc.record({ key, value: text, slot, etcdRevision: revision, lease: fc.option(lease, { nil: undefined }), keeper: fc.option(keeper, { nil: undefined }) });
type KeyValue = typeof kv extends fc.Arbitrary<infer T> ? T : never;

function etcdKv({ key, value, slot, etcdRevision, lease, keeper }: KeyValue): object {
  return { key: Buffer.from(key), value: Buffer.from(value + valueSuffix(slot, keeper)), mod_revision: String(etcdRevision), create_revision: '1', version: '3', lease: String(lease ?? 0) };
}

function decodedKv({ lease, ...rest }: KeyValue): object {
  return { ...rest, leased: lease !== undefined };
}

describe('messages of etcd', () => {
  let oracle: Oracle;
  let range: Method;
  let txn: Method;
  let watch: Method;

  beforeAll(async () => {
    oracle = new Oracle({ hosts: '127.0.0.1:1' });
    range = await oracle.method('KV', 'Range');
    txn = await oracle.method('KV', 'Txn');
    watch = await oracle.method('Watch', 'Watch');
  });
  afterAll(() => oracle.close());

  it('ask for a range as etcd3 reads it', () => {
    fc.assert(
      fc.property(key, fc.option(key, { nil: undefined }), fc.integer({ min: 0, max: 10_000 }), revision, fc.boolean(), (key, end, limit, etcdRevision, keysOnly) => {
        expect(range.requestDeserialize(encodeRange({ key, ...(end !== undefined && { end }), limit, etcdRevision, keysOnly }))).toMatchObject({
          key: Buffer.from(key),
          range_end: Buffer.from(end ?? ''),
          limit: String(limit),
          revision: String(etcdRevision),
          keys_only: keysOnly,
          serializable: false,
        });
      }),
    );
  });

  it('tell what a range holds as etcd3 writes it', () => {
    fc.assert(
      fc.property(fc.array(kv, { maxLength: 8 }), revision, fc.boolean(), (kvs, etcdRevision, more) => {
        const buffer = range.responseSerialize({ header: { ...header, revision: String(etcdRevision) }, kvs: kvs.map(etcdKv), more, count: '99' });
        expect(decodeRange(buffer)).toEqual({ etcdRevision, kvs: kvs.map(decodedKv), more, bytes: buffer.length });
      }),
    );
  });

  it('ask for a watch as etcd3 reads it', () => {
    expect(watch.requestDeserialize(encodeWatch('/a/', '/a0', 2 ** 40))).toMatchObject({
      request_union: 'create_request',
      create_request: { key: Buffer.from('/a/'), range_end: Buffer.from('/a0'), start_revision: String(2 ** 40), prev_kv: false, fragment: false, progress_notify: false, filters: [] },
    });
  });

  it('tell the events of a watch as etcd3 writes them', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), kv), { maxLength: 8 }), revision, (events, etcdRevision) => {
        const buffer = watch.responseSerialize({
          header: { ...header, revision: String(etcdRevision) },
          watch_id: '3',
          events: events.map(([put, kv]) => (put ? { type: 'Put', kv: etcdKv(kv), prev_kv: etcdKv(kv) } : { type: 'Delete', kv: { key: Buffer.from(kv.key), mod_revision: String(kv.etcdRevision) } })),
        });
        const decoded = decodeWatch(buffer);
        expect({ ...decoded, events: decoded.events.map(({ type, key, value, slot, etcdRevision: of }) => ({ type, key, value, slot, etcdRevision: of })) }).toEqual({
          canceled: false,
          cancelReason: '',
          compactRevision: 0,
          events: events.map(([put, { key, value, slot, etcdRevision: of }]) => (put ? { type: 'put', key, value, slot, etcdRevision: of } : { type: 'delete', key, value: '', slot: 0, etcdRevision: of })),
        });
      }),
    );
    expect(decodeWatch(watch.responseSerialize({ header, created: true, canceled: true, compact_revision: '77', cancel_reason: 'é' }))).toEqual({ canceled: true, cancelReason: 'é', compactRevision: 77, events: [] });
  });

  it('ask for a transaction as etcd3 reads it', () => {
    const write = fc.oneof(
      fc.record({ op: fc.constant('create' as const), value: text, lease: fc.option(lease.map(String), { nil: undefined }), keeper: fc.option(keeper, { nil: undefined }), registered: fc.option(key, { nil: undefined }), notedAt: fc.option(revision, { nil: undefined }) }),
      fc.record({ op: fc.constant('update' as const), value: text, revision: fc.integer({ min: 0, max: 2 ** 50 }), keeper: fc.option(keeper, { nil: undefined }), registered: fc.option(key, { nil: undefined }) }),
      fc.record({ op: fc.constant('delete' as const), revision: fc.integer({ min: 0, max: 2 ** 50 }), noted: fc.boolean() }),
      fc.record({ op: fc.constant('put' as const), value: text }),
    );
    fc.assert(
      fc.property(fc.array(write, { minLength: 1, maxLength: 8 }), fc.constantFrom(1, 2, 30), (few, times) => {
        const batch = Array.from({ length: times }, () => few)
          .flat()
          .map((write, n) => ({ ...write, key: `k${n}` }) as EtcdWrite);
        const groups: object[][] = [];
        batch.forEach((write, slot) => (groups[Math.floor(slot / 100)] ??= []).push(nested(write, slot)));
        const noted = batch.some((write) => write.op === 'delete' && write.noted);
        const note = { request_put: { key: Buffer.from(noteKey), value: Buffer.from(`{}${valueSuffix(batch.length)}`) } };
        const expected = {
          compare: [],
          success: [...groups.map((success) => ({ request_txn: { compare: [], success, failure: [] } })), ...(noted ? [note] : [])],
          failure: [],
        };
        // Compared as etcd3 writes both again: objects by the thousand are slow to compare.
        const again = (buffer: Buffer): string => txn.requestSerialize(txn.requestDeserialize(buffer)).toString('latin1');
        expect(again(encodeTxn(batch)) === again(txn.requestSerialize(expected))).toBe(true);
      }),
      { numRuns: 30 },
    );

    function nested(write: EtcdWrite, slot: number): object {
      const key = Buffer.from(write.key);
      const compare: object[] = [];
      if (write.op === 'create') compare.push({ result: 'Equal', target: 'Create', key, create_revision: '0' });
      else if (write.op !== 'put') compare.push({ result: 'Equal', target: 'Mod', key, mod_revision: String(Math.floor(write.revision / 4_096) || -1) });
      if (write.op !== 'put' && write.notedAt !== undefined) compare.push({ result: 'Equal', target: 'Mod', key: Buffer.from(noteKey), mod_revision: String(write.notedAt) });
      if (write.op !== 'put' && write.registered !== undefined) {
        compare.push({ result: 'Greater', target: 'Create', key: Buffer.from(serversPrefix + write.registered), create_revision: '0' });
      }
      const suffix = valueSuffix(slot, write.op === 'put' ? undefined : write.keeper);
      const success =
        write.op === 'delete'
          ? { request_delete_range: { key } }
          : { request_put: { key, value: Buffer.from(write.value + suffix), lease: write.op === 'create' ? (write.lease ?? '0') : '0' } };
      return { request_txn: { compare, success: [success], failure: [{ request_range: { key } }] } };
    }
  });

  it('tell the results of a transaction as etcd3 writes them', () => {
    const result = fc.oneof(fc.record({ op: fc.constantFrom('request_put', 'delete'), ok: fc.constant(true) }), fc.record({ ok: fc.constant(false), current: fc.option(kv, { nil: undefined }) }));
    fc.assert(
      fc.property(fc.array(fc.array(result, { maxLength: 5 }), { maxLength: 5 }), revision, fc.boolean(), (groups, etcdRevision, noted) => {
        const inner = { header: { revision: String(etcdRevision) } };
        const responses: object[] = groups.map((results) => ({
          response_txn: {
            ...inner,
            succeeded: true,
            responses: results.map((each) => ({
              response_txn: {
                ...inner,
                succeeded: each.ok,
                responses: [
                  'op' in each
                    ? each.op === 'delete'
                      ? { response_delete_range: { ...inner, deleted: '1' } }
                      : { response_put: inner }
                    : { response_range: { ...inner, kvs: each.current ? [etcdKv(each.current)] : [], count: '1' } },
                ],
              },
            })),
          },
        }));
        if (noted) responses.push({ response_put: inner });
        expect(decodeTxn(txn.responseSerialize({ header: { ...header, revision: String(etcdRevision) }, succeeded: true, responses }))).toEqual({
          etcdRevision,
          results: groups.flat().map((each) => {
            const current = 'current' in each ? each.current : undefined;
            return { succeeded: each.ok, current: current && { key: current.key, value: current.value, revision: revisionOf(current.etcdRevision, current.slot) } };
          }),
        });
      }),
    );
  });

  it('are refused when they are cut short or no messages at all', () => {
    const buffer = range.responseSerialize({ header: { ...header, revision: '7' }, kvs: [{ key: Buffer.from('k'), value: Buffer.from('{}'), mod_revision: '5' }], count: '300' });
    const refused = Array.from(buffer, (_, length) => length).filter((length) => {
      try {
        decodeRange(buffer.subarray(0, length));
        return false;
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return true;
      }
    });
    // Cut between two fields it is a message still, as protobuf would have it.
    expect(buffer.length - refused.length).toBe(3);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of [decodeRange, decodeTxn, decodeWatch]) {
          try {
            decode(Buffer.from(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError);
          }
        }
      }),
    );
  });
});
