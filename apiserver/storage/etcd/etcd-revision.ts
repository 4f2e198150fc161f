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
/** Writes in one transaction (etcd-txn.ts). Three digits hold every slot of a put, the note's behind them too. */
export const batchOpsMax = 500;

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

/** What is stored behind the text of a put. */
export function valueSuffix(slot: number, keeper?: Keeper): string {
  const slotText = String(slot).padStart(slotDigits, '0');
  return keeper ? `\n${keeper.server}${String(keeper.ttlMs).padStart(ttlDigits, '0')}${slotText}p` : `\n${slotText}`;
}

export interface DecodedValue {
  readonly value: string;
  readonly slot: number;
  readonly keeper?: Keeper | undefined;
}

/** What a stored value, the bytes from `from` to `end`, holds. One that another program wrote has no suffix: it is taken whole, at slot 0. */
export function decodeValue(stored: Buffer, from = 0, end = stored.length): DecodedValue {
  const textEnd = endOfText(stored, from, end);
  const value = stored.toString('utf8', from, textEnd);
  const slot = slotAt(stored, textEnd, end);
  if (end - textEnd !== keeperSuffixBytes) return { value, slot };
  const ttlAt = textEnd + 1 + serverDigits;
  return { value, slot, keeper: { server: stored.toString('latin1', textEnd + 1, ttlAt), ttlMs: numberAt(stored, ttlAt, ttlDigits) } };
}

/** Where the text of a stored value ends, and its suffix begins. */
export function endOfText(stored: Buffer, from: number, end: number): number {
  const plain = end - suffixBytes;
  if (plain >= from && stored[plain] === newline) return plain;
  const kept = end - keeperSuffixBytes;
  return kept >= from && stored[kept] === newline && stored[end - 1] === keeperMark ? kept : end;
}

/** The slot in a suffix. */
export function slotAt(stored: Buffer, textEnd: number, end: number): number {
  switch (end - textEnd) {
    case suffixBytes:
      return numberAt(stored, textEnd + 1, slotDigits);
    case keeperSuffixBytes:
      return numberAt(stored, end - 1 - slotDigits, slotDigits);
    default:
      return 0;
  }
}

function numberAt(stored: Buffer, from: number, digits: number): number {
  let number = 0;
  for (let index = from; index < from + digits; index++) number = number * 10 + stored[index]! - zero;
  return number;
}

/** A key as etcd has it. A deleted one has no value. */
export interface EtcdKeyValue extends DecodedValue {
  readonly key: string;
  /** Of the write that put it last, or deleted it. */
  readonly etcdRevision: number;
  /** It lives as long as some lease. */
  readonly leased: boolean;
}

/** An event of etcd: the change that it stands for, but for its revision. */
export interface EtcdEvent extends Change {
  readonly etcdRevision: number;
  /** Of a put. */
  readonly slot: number;
  /** 0 until `changesOf` has worked it out. */
  revision: number;
}

/**
 * Gives events of etcd their revisions. The events are all those under the root, whole etcd revisions, in order.
 */
export function changesOf(events: readonly EtcdEvent[]): readonly Change[] {
  let lastEtcdRevision = -1;
  let lastSlot = -1;
  for (const event of events) {
    const { type, etcdRevision } = event;
    if (etcdRevision !== lastEtcdRevision) lastSlot = -1;
    const slot = type === 'put' ? event.slot : lastSlot + 1;
    lastEtcdRevision = etcdRevision;
    lastSlot = slot;
    event.revision = revisionOf(etcdRevision, slot);
  }
  return events;
}
