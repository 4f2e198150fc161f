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
//
// A presence key also carries its keeper there (etcd-presence.ts): newline, 16 digits of the server, ten of the time to live,
// the slot, and a "p", which no plain suffix ends with.

import type { Change } from '../store.js';

const slots = 4_096;
export const slotMax = slots - 1;
/**
 * etcd takes 128 operations by default, and has those of each level share them with the level above: 125 writes, the note
 * (etcd-txn.ts), and two compares in each. Three digits hold every slot of a put.
 */
export const batchOpsMax = 125;

/** Who keeps a presence key, and for how long from each renewal. */
export interface Keeper {
  /** Id of an API server, 16 hexadecimal digits. */
  readonly server: string;
  readonly ttlMs: number;
}

export const serverDigits = 16;
const ttlDigits = 10;

const slotDigits = 3;
const suffixBytes = 1 + slotDigits;
const keeperSuffixBytes = 1 + serverDigits + ttlDigits + slotDigits + 1;
const newline = 0x0a;
const zero = 0x30;
const keeperMark = 0x70;

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

export function encodeValue(value: string, slot: number, keeper?: Keeper): Buffer {
  const slotText = String(slot).padStart(slotDigits, '0');
  return Buffer.from(keeper ? `${value}\n${keeper.server}${String(keeper.ttlMs).padStart(ttlDigits, '0')}${slotText}p` : `${value}\n${slotText}`);
}

export interface DecodedValue {
  readonly value: string;
  readonly slot: number;
  readonly keeper?: Keeper;
}

/** What a stored value holds. One that another program wrote has no suffix: it is taken whole, at slot 0. */
export function decodeValue(stored: Buffer): DecodedValue {
  const end = stored.length - suffixBytes;
  if (end >= 0 && stored[end] === newline) return { value: stored.toString('utf8', 0, end), slot: numberAt(stored, end + 1, slotDigits) };
  const keeperEnd = stored.length - keeperSuffixBytes;
  if (keeperEnd < 0 || stored[keeperEnd] !== newline || stored.at(-1) !== keeperMark) return { value: stored.toString(), slot: 0 };
  const ttlAt = keeperEnd + 1 + serverDigits;
  return {
    value: stored.toString('utf8', 0, keeperEnd),
    slot: numberAt(stored, ttlAt + ttlDigits, slotDigits),
    keeper: { server: stored.toString('latin1', keeperEnd + 1, ttlAt), ttlMs: numberAt(stored, ttlAt, ttlDigits) },
  };
}

function numberAt(stored: Buffer, from: number, digits: number): number {
  let number = 0;
  for (let index = from; index < from + digits; index++) number = number * 10 + stored[index]! - zero;
  return number;
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
