// etcd-revision.ts
//
// All writes of one etcd transaction share one etcd revision; the contract wants one revision per write. So
//
//   revision = etcd revision * 4096 + slot
//
// where the slot is the write's position in its batch: unique and increasing inside one etcd revision. A put carries its
// slot behind the stored text (newline, three digits), so that a list, a restart and every API server see the same number.
// A deletion has no text to carry it; its slot is one more than that of the event before it in the same etcd revision, or
// 0, which writer and watchers work out alike. Lists and watches that have seen all of an etcd revision stand at its last
// slot, which no write ever has.

import type { Change } from '../store.js';

const slots = 4_096;
export const slotMax = slots - 1;
/** etcd takes 128 operations by default, and counts one level of nesting as one. Three digits hold every slot of a put. */
export const batchOpsMax = 127;

const suffixBytes = 4;
const newline = 0x0a;
const zero = 0x30;

export function revisionOf(etcdRevision: number, slot: number): number {
  return etcdRevision * slots + slot;
}

export function etcdRevisionOf(revision: number): number {
  return Math.floor(revision / slots);
}

export function slotOf(revision: number): number {
  return revision % slots;
}

/** The revision of one who has seen everything up to and including `etcdRevision`. */
export function endOfRevision(etcdRevision: number): number {
  return revisionOf(etcdRevision, slotMax);
}

export function encodeValue(value: string, slot: number): Buffer {
  return Buffer.from(`${value}\n${String(slot).padStart(suffixBytes - 1, '0')}`);
}

/** Text and slot of a stored value. A value that another program wrote has no suffix: it is taken whole, at slot 0. */
export function decodeValue(stored: Buffer): { value: string; slot: number } {
  const end = stored.length - suffixBytes;
  if (end < 0 || stored[end] !== newline) return { value: stored.toString(), slot: 0 };
  let slot = 0;
  for (let index = end + 1; index < stored.length; index++) slot = slot * 10 + stored[index]! - zero;
  return { value: stored.toString('utf8', 0, end), slot };
}

/** What the watch needs of an event of etcd. */
export interface EtcdEvent {
  readonly type: string;
  readonly kv: { readonly key: Buffer; readonly value: Buffer; readonly mod_revision: string };
}

/**
 * The changes that events of etcd stand for. The events are all those under the root, whole etcd revisions, in order.
 */
export function changesOf(events: readonly EtcdEvent[]): Change[] {
  const changes: Change[] = [];
  let lastEtcdRevision = -1;
  let lastSlot = -1;
  for (const { type, kv } of events) {
    const etcdRevision = Number(kv.mod_revision);
    if (etcdRevision !== lastEtcdRevision) lastSlot = -1;
    const put = type === 'Put';
    const { value, slot } = put ? decodeValue(kv.value) : { value: '', slot: lastSlot + 1 };
    changes.push({ type: put ? 'put' : 'delete', key: kv.key.toString(), value, revision: revisionOf(etcdRevision, slot) });
    lastEtcdRevision = etcdRevision;
    lastSlot = slot;
  }
  return changes;
}
