// etcd-txn.ts
//
// A batch of guarded writes as one transaction of etcd: its operations are nested transactions, each with its own compare,
// so that each write succeeds or conflicts on its own while all share one raft entry. The failure branch of each brings
// back what is stored now. Pure: requests out, outcomes in.
//
// etcd counts operations along each path into a transaction, not altogether: at most 128 by default, those of each level
// added to the most of the levels above. So the writes go in groups: five groups and the note (below), a hundred writes in each,
// and two compares in each write make 108.

import { rootPrefix, type Stored, type Write, type WriteOutcome } from '../store.js';
import { readHeader, readKeyValue } from './etcd-messages.js';
import { etcdRevisionOf, revisionOf, valueSuffix, type EtcdKeyValue, type Keeper } from './etcd-revision.js';
import { WireReader, WireWriter } from './etcd-wire.js';

/** Keys of the API servers that are there, each on its lease. The key's name is the server's id. */
export const serversPrefix = `${rootPrefix}servers/`;
/** Put together with everything that other API servers must hear of (`noted`); never removed. */
export const noteKey = `${serversPrefix}note`;

export type EtcdWrite =
  | (Write & {
      /** Kept behind the text of a presence key. */
      readonly keeper?: Keeper;
      /** The write also needs this API server to be registered. */
      readonly registered?: string;
      /** The note is put with it, in the same etcd revision, whether or not its guard holds. */
      readonly noted?: boolean;
      /** The write also needs the note to be as that etcd revision put it. */
      readonly notedAt?: number;
      /** A created key lives as long as this lease: its 64 bits as a decimal number. */
      readonly lease?: string;
    })
  /** Put, whatever is stored. */
  | { readonly op: 'put'; readonly key: string; readonly value: string };

const groupOps = 100;
/** Bytes of a write in a request besides its key, three times, and its value. */
const writeBytes = 160;

// Fields of the messages that are written and read here.
const txn = { compare: 1, success: 2, failure: 3 } as const;
const requestOp = { range: 1, put: 2, deleteRange: 3, txn: 4 } as const;
const compare = { result: 1, target: 2, key: 3, createRevision: 5, modRevision: 6 } as const;
const put = { key: 1, value: 2, lease: 3 } as const;
const greater = 1;
const target = { create: 1, mod: 2 } as const;
const txnResponse = { header: 1, succeeded: 2, responses: 3 } as const;
const responseOp = { range: 1, txn: 4 } as const;
const rangeKvs = 2;

/** The TxnRequest for `batch`, in which a key occurs once. Each message is written from its end to its beginning (WireWriter). */
export function encodeTxn(batch: readonly EtcdWrite[]): Buffer {
  let bytes = writeBytes;
  for (const write of batch) bytes += writeBytes + 3 * write.key.length + ('value' in write ? write.value.length : 0);
  const writer = new WireWriter(bytes);
  if (batch.some((write) => write.op !== 'put' && write.noted)) {
    const op = writer.mark();
    putOf(writer, noteKey, '{}', valueSuffix(batch.length));
    writer.close(txn.success, op);
  }
  for (let end = batch.length; end > 0; ) {
    const start = Math.floor((end - 1) / groupOps) * groupOps;
    const op = writer.mark();
    const group = writer.mark();
    for (let slot = end - 1; slot >= start; slot--) nestedTxn(writer, batch[slot]!, slot);
    writer.close(requestOp.txn, group);
    writer.close(txn.success, op);
    end = start;
  }
  return writer.finish();
}

function nestedTxn(writer: WireWriter, write: EtcdWrite, slot: number): void {
  const { key } = write;
  const op = writer.mark();
  const nested = writer.mark();
  const failure = writer.mark();
  keyOnly(writer, requestOp.range, key);
  writer.close(txn.failure, failure);
  const success = writer.mark();
  if (write.op === 'delete') keyOnly(writer, requestOp.deleteRange, key);
  else putOf(writer, key, write.value, valueSuffix(slot, 'keeper' in write ? write.keeper : undefined), write.op === 'create' ? write.lease : undefined);
  writer.close(txn.success, success);
  if (write.op !== 'put') {
    if (write.registered !== undefined) compareOf(writer, serversPrefix + write.registered, target.create, 0, greater);
    if (write.notedAt !== undefined) compareOf(writer, noteKey, target.mod, write.notedAt);
    // An absent key compares as revision 0, which must not pass for a guard that asks for such a small revision.
    if (write.op === 'create') compareOf(writer, key, target.create, 0);
    else compareOf(writer, key, target.mod, etcdRevisionOf(write.revision) || -1);
  }
  writer.close(requestOp.txn, nested);
  writer.close(txn.success, op);
}

/** A RangeRequest or DeleteRangeRequest of one key. */
function keyOnly(writer: WireWriter, field: number, key: string): void {
  const request = writer.mark();
  writer.text(1, key);
  writer.close(field, request);
}

function putOf(writer: WireWriter, key: string, value: string, suffix: string, lease?: string): void {
  const request = writer.mark();
  if (lease !== undefined) writer.integer(put.lease, BigInt(lease));
  const stored = writer.mark();
  writer.raw(suffix);
  writer.raw(value);
  writer.close(put.value, stored);
  writer.text(put.key, key);
  writer.close(requestOp.put, request);
}

/** A Compare: by default, that the key's revision is `revision`. */
function compareOf(writer: WireWriter, key: string, of: 1 | 2, revision: number, result = 0): void {
  const message = writer.mark();
  writer.integer(of === target.create ? compare.createRevision : compare.modRevision, revision);
  writer.text(compare.key, key);
  writer.integer(compare.target, of);
  if (result !== 0) writer.integer(compare.result, result);
  writer.close(txn.compare, message);
}

export interface TxnAnswer {
  readonly etcdRevision: number;
  /** Of each write, in the order of the batch. */
  readonly results: readonly TxnResult[];
}

export interface TxnResult {
  readonly succeeded: boolean;
  /** What is stored, where the guard failed; undefined when nothing is. */
  readonly current: Stored | undefined;
}

const succeeded: TxnResult = { succeeded: true, current: undefined };

/** The TxnResponse to what `encodeTxn` wrote. @throws RangeError when it is none */
export function decodeTxn(buffer: Buffer): TxnAnswer {
  const reader = new WireReader(buffer);
  const results: TxnResult[] = [];
  let etcdRevision = 0;
  while (reader.next(buffer.length)) {
    if (reader.is(txnResponse.header)) etcdRevision = readHeader(reader);
    else if (reader.is(txnResponse.responses)) readGroup(reader, results);
  }
  return { etcdRevision, results };
}

/** The ResponseOp of a group; that of the note is passed over. */
function readGroup(reader: WireReader, results: TxnResult[]): void {
  const end = reader.open();
  while (reader.next(end)) {
    if (!reader.is(responseOp.txn)) continue;
    const group = reader.open();
    while (reader.next(group)) if (reader.is(txnResponse.responses)) readResult(reader, results);
  }
}

/** The ResponseOp of a write. */
function readResult(reader: WireReader, results: TxnResult[]): void {
  const end = reader.open();
  while (reader.next(end)) {
    if (!reader.is(responseOp.txn)) continue;
    const nested = reader.open();
    let holds = false;
    let current: Stored | undefined;
    while (reader.next(nested)) {
      if (reader.is(txnResponse.succeeded)) holds = reader.flag();
      else if (reader.is(txnResponse.responses)) current = readCurrent(reader);
    }
    results.push(holds ? succeeded : { succeeded: false, current });
  }
}

/** The ResponseOp of the failure branch. */
function readCurrent(reader: WireReader): Stored | undefined {
  let current: Stored | undefined;
  const end = reader.open();
  while (reader.next(end)) {
    if (!reader.is(responseOp.range)) continue;
    const range = reader.open();
    while (reader.next(range)) if (reader.is(rangeKvs)) current = storedOf(readKeyValue(reader));
  }
  return current;
}

/** The outcome of each write, with the same revisions that watchers work out (etcd-revision.ts). */
export function outcomesOf(batch: readonly EtcdWrite[], { etcdRevision, results }: TxnAnswer): WriteOutcome[] {
  if (results.length !== batch.length) throw new Error(`assertion failed: etcd answered ${results.length} of ${batch.length} writes`);
  let lastSlot = -1;
  return batch.map((write, position) => {
    const { succeeded: ok, current } = results[position]!;
    if (!ok) return { ok, current };
    lastSlot = write.op === 'delete' ? lastSlot + 1 : position;
    return { ok, revision: revisionOf(etcdRevision, lastSlot) };
  });
}

export function storedOf({ key, value, etcdRevision, slot }: EtcdKeyValue): Stored {
  return { key, value, revision: revisionOf(etcdRevision, slot) };
}
