// etcd-txn.ts
//
// A batch of guarded writes as one transaction of etcd: its operations are nested transactions, each with its own compare,
// so that each write succeeds or conflicts on its own while all share one raft entry. The failure branch of each brings
// back what is stored now. Pure: requests out, outcomes in.

import type { ICompare, IKeyValue, IRequestOp, ITxnRequest, ITxnResponse } from 'etcd3';
import { rootPrefix, type Stored, type Write, type WriteOutcome } from '../store.js';
import { decodeValue, encodeValue, etcdRevisionOf, revisionOf, type Keeper } from './etcd-revision.js';

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
      /** A created key lives as long as this lease. */
      readonly lease?: string;
    })
  /** Put, whatever is stored. */
  | { readonly op: 'put'; readonly key: string; readonly value: string };

/** The request for `batch`, in which a key occurs once. */
export function txnRequest(batch: readonly EtcdWrite[]): ITxnRequest {
  const success: IRequestOp[] = batch.map((write, slot) => ({ request_txn: nestedTxn(write, slot) }));
  if (batch.some((write) => write.op !== 'put' && write.noted)) success.push({ request_put: { key: Buffer.from(noteKey), value: encodeValue('{}', batch.length) } });
  return { compare: [], success, failure: [] };
}

function nestedTxn(write: EtcdWrite, slot: number): ITxnRequest {
  const key = Buffer.from(write.key);
  const compare = guardOf(write, key);
  if (write.op !== 'put' && write.registered !== undefined) {
    compare.push({ result: 'Greater', target: 'Create', key: Buffer.from(serversPrefix + write.registered), create_revision: 0 });
  }
  return { compare, success: [operationOf(write, key, slot)], failure: [{ request_range: { key } }] };
}

function guardOf(write: EtcdWrite, key: Buffer): ICompare[] {
  switch (write.op) {
    case 'create':
      return [{ result: 'Equal', target: 'Create', key, create_revision: 0 }];
    case 'update':
    case 'delete':
      // An absent key compares as revision 0, which must not pass for a guard that asks for such a small revision.
      return [{ result: 'Equal', target: 'Mod', key, mod_revision: etcdRevisionOf(write.revision) || -1 }];
    case 'put':
      return [];
  }
}

function operationOf(write: EtcdWrite, key: Buffer, slot: number): IRequestOp {
  switch (write.op) {
    case 'create':
      return { request_put: { key, value: encodeValue(write.value, slot, write.keeper), lease: write.lease ?? 0 } };
    case 'update':
      return { request_put: { key, value: encodeValue(write.value, slot, write.keeper) } };
    case 'delete':
      return { request_delete_range: { key } };
    case 'put':
      return { request_put: { key, value: encodeValue(write.value, slot) } };
  }
}

/** The outcome of each write, with the same revisions that watchers work out (etcd-revision.ts). */
export function outcomesOf(batch: readonly EtcdWrite[], response: ITxnResponse): WriteOutcome[] {
  const etcdRevision = Number(response.header.revision);
  let lastSlot = -1;
  return batch.map((write, position) => {
    const { succeeded, responses } = response.responses[position]!.response_txn;
    if (!succeeded) {
      const kv = responses[0]?.response_range.kvs[0];
      return { ok: false, current: kv && storedOf(kv) };
    }
    lastSlot = write.op === 'delete' ? lastSlot + 1 : position;
    return { ok: true, revision: revisionOf(etcdRevision, lastSlot) };
  });
}

export function storedOf(kv: IKeyValue): Stored {
  const { value, slot } = decodeValue(kv.value);
  return { key: kv.key.toString(), value, revision: revisionOf(Number(kv.mod_revision), slot) };
}
