// etcd-messages.ts
//
// The messages of etcd that are sent and read for every write, every change and every list (etcdserverpb in rpc.proto, mvccpb
// in kv.proto, version 3.4 and later), straight from and to what the store needs: the general way, over an object for each
// field of each message, costs several times as much. Fields that the store does not use are passed over. Transactions: etcd-txn.ts.

import { decodeValue, endOfText, slotAt, type EtcdEvent, type EtcdKeyValue } from './etcd-revision.js';
import { WireReader, WireWriter } from './etcd-wire.js';

/** Bytes of a request besides its keys. */
const requestBytes = 64;

export interface RangeRequest {
  readonly key: string;
  /** The first key that is no longer wanted; `key` alone when absent. */
  readonly end?: string;
  readonly limit?: number;
  /** As of this etcd revision; the newest when absent or 0. */
  readonly etcdRevision?: number;
  readonly keysOnly?: boolean;
}

export interface RangeAnswer {
  readonly etcdRevision: number;
  readonly kvs: readonly EtcdKeyValue[];
  /** There are keys beyond the limit. */
  readonly more: boolean;
  /** The size of the answer. */
  readonly bytes: number;
}

export interface WatchAnswer {
  readonly canceled: boolean;
  readonly cancelReason: string;
  /** Where the watch was cancelled because its start is no longer kept: the oldest etcd revision that is. */
  readonly compactRevision: number;
  readonly events: readonly EtcdEvent[];
}

/** A RangeRequest. */
export function encodeRange({ key, end, limit = 0, etcdRevision = 0, keysOnly = false }: RangeRequest): Buffer {
  const writer = new WireWriter(requestBytes + key.length + (end?.length ?? 0));
  if (keysOnly) writer.integer(8, 1);
  if (etcdRevision > 0) writer.integer(4, etcdRevision);
  if (limit > 0) writer.integer(3, limit);
  if (end !== undefined) writer.text(2, end);
  writer.text(1, key);
  return writer.finish();
}

/** A RangeResponse. @throws RangeError when it is none */
export function decodeRange(buffer: Buffer): RangeAnswer {
  const reader = new WireReader(buffer);
  const kvs: EtcdKeyValue[] = [];
  let etcdRevision = 0;
  let more = false;
  while (reader.next(buffer.length)) {
    if (reader.is(1)) etcdRevision = readHeader(reader);
    else if (reader.is(2)) kvs.push(readKeyValue(reader));
    else if (reader.is(3)) more = reader.flag();
  }
  return { etcdRevision, kvs, more, bytes: buffer.length };
}

/** A WatchRequest that creates a watch over the keys from `key` to before `end`, from an etcd revision on. */
export function encodeWatch(key: string, end: string, startRevision: number): Buffer {
  const writer = new WireWriter(requestBytes + key.length + end.length);
  const create = writer.mark();
  writer.integer(3, startRevision);
  writer.text(2, end);
  writer.text(1, key);
  writer.close(1, create);
  return writer.finish();
}

/** A WatchResponse. @throws RangeError when it is none */
export function decodeWatch(buffer: Buffer): WatchAnswer {
  const reader = new WireReader(buffer);
  const events: EtcdEvent[] = [];
  let canceled = false;
  let cancelReason = '';
  let compactRevision = 0;
  while (reader.next(buffer.length)) {
    if (reader.is(11)) events.push(readEvent(reader));
    else if (reader.is(4)) canceled = reader.flag();
    else if (reader.is(5)) compactRevision = reader.integer();
    else if (reader.is(6)) cancelReason = reader.text();
  }
  return { canceled, cancelReason, compactRevision, events };
}

/** The etcd revision in the ResponseHeader that the reader stands on. */
export function readHeader(reader: WireReader): number {
  const end = reader.open();
  let etcdRevision = 0;
  while (reader.next(end)) if (reader.is(3)) etcdRevision = reader.integer();
  return etcdRevision;
}

/** The KeyValue that the reader stands on. */
export function readKeyValue(reader: WireReader): EtcdKeyValue {
  const end = reader.open();
  let key = '';
  let etcdRevision = 0;
  let leased = false;
  let from = 0;
  let to = 0;
  while (reader.next(end)) {
    switch (reader.field) {
      case 1:
        key = reader.text();
        break;
      case 3:
        etcdRevision = reader.integer();
        break;
      case 5:
        to = reader.open();
        from = reader.at;
        reader.leave(to);
        break;
      case 6:
        leased = reader.flag();
        break;
    }
  }
  const { value, slot, keeper } = decodeValue(reader.buffer, from, to);
  return { key, value, slot, keeper, etcdRevision, leased };
}

/**
 * An event, over the message that it came in: its texts are made when somebody asks for them. Nobody does for this server's own writes, which most
 * are; their texts are at hand. The message lives as long as the event.
 */
class WatchedEvent implements EtcdEvent {
  revision = 0;
  readonly #message: Buffer;
  readonly #keyFrom: number;
  readonly #keyEnd: number;
  readonly #valueFrom: number;
  readonly #valueEnd: number;

  constructor(
    readonly type: 'put' | 'delete',
    readonly etcdRevision: number,
    readonly slot: number,
    at: { message: Buffer; keyFrom: number; keyEnd: number; valueFrom: number; valueEnd: number },
  ) {
    this.#message = at.message;
    this.#keyFrom = at.keyFrom;
    this.#keyEnd = at.keyEnd;
    this.#valueFrom = at.valueFrom;
    this.#valueEnd = at.valueEnd;
  }

  get key(): string {
    return this.#message.toString('utf8', this.#keyFrom, this.#keyEnd);
  }

  /** Made anew with each call. */
  get value(): string {
    return this.#message.toString('utf8', this.#valueFrom, this.#valueEnd);
  }
}

function readEvent(reader: WireReader): EtcdEvent {
  const end = reader.open();
  const { buffer } = reader;
  let type: 'put' | 'delete' = 'put';
  let etcdRevision = 0;
  let keyFrom = -1;
  let keyEnd = 0;
  let from = 0;
  let to = 0;
  while (reader.next(end)) {
    if (reader.is(1)) {
      if (reader.integer() !== 0) type = 'delete';
      continue;
    }
    if (!reader.is(2)) continue;
    const kvEnd = reader.open();
    keyFrom = keyEnd = reader.at;
    while (reader.next(kvEnd)) {
      if (reader.is(3)) {
        etcdRevision = reader.integer();
      } else if (reader.is(1)) {
        keyEnd = reader.open();
        keyFrom = reader.at;
        reader.leave(keyEnd);
      } else if (reader.is(5)) {
        to = reader.open();
        from = reader.at;
        reader.leave(to);
      }
    }
  }
  if (keyFrom < 0) throw new RangeError('an event of etcd names no key');
  const textEnd = endOfText(buffer, from, to);
  return new WatchedEvent(type, etcdRevision, slotAt(buffer, textEnd, to), { message: buffer, keyFrom, keyEnd, valueFrom: from, valueEnd: textEnd });
}
