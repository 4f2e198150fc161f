// reader.ts
//
// Bytes in the encoding of protobuf as JSON values, by a table that says which field number means what. Written by hand
// because the few types that clients send fit in one table, and a general library would read them with schemas, code made
// at run time and limits of its own.
//
// The Go structs behind the messages have no absent values, only zeroes: where a zero says no more than absence does, it is
// left out, as Go's JSON (`omitempty`) leaves it out.
// https://protobuf.dev/programming-guides/encoding/

import { isUtf8 } from 'node:buffer';
import { badRequest } from '../../../api/errors.js';
import { microTimestamp, timestamp } from '../../../api/meta.js';

/** What the bytes of a field mean. */
export type FieldType = 'string' | 'integer' | 'boolean' | 'base64' | 'time' | 'microTime' | 'json' | MessageType;

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** `list` of values of the type, or `map` from strings to them. */
  readonly repeated?: 'list' | 'map';
  /** Whether a zero means something else than absence: it came through a pointer, which is not sent when it is nil. */
  readonly zeroCounts?: boolean;
}

/** Fields by number. Others are passed over, as any reader of protobuf must. */
export type MessageType = Readonly<Record<number, Field>>;

type Mapping = Record<string, unknown>;

const wireVarint = 0;
const wireFixed64 = 1;
const wireBytes = 2;
const wireFixed32 = 5;

/** Last second of the year 9999: later ones have no RFC 3339 form. */
const secondsMax = 253_402_300_799;
const secondsMin = -62_135_596_800;

/** @throws ApiError BadRequest for bytes that are no such message */
export function readMessage(bytes: Buffer, type: MessageType): Mapping {
  const object: Mapping = {};
  const reader = new Reader(bytes);
  while (!reader.atEnd) {
    const { number, wire } = reader.tag();
    const field = type[number];
    if (!field) reader.skip(wire);
    else readField(reader, wire, field, object);
  }
  return object;
}

/** The bytes of field `number`, where it is there. @throws ApiError BadRequest */
export function rawFields(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  const reader = new Reader(bytes);
  while (!reader.atEnd) {
    const { number, wire } = reader.tag();
    if (wire === wireBytes) found.set(number, reader.bytes());
    else reader.skip(wire);
  }
  return found;
}

function readField(reader: Reader, wire: number, field: Field, object: Mapping): void {
  const { name, type, repeated } = field;
  if (repeated === 'list') {
    const list = (object[name] ??= []) as unknown[];
    list.push(readValue(reader, wire, field));
    return;
  }
  if (repeated === 'map') {
    const map = (object[name] ??= {}) as Mapping;
    if (wire !== wireBytes) throw wrongWire(field);
    const { key = '', value } = readMessage(reader.bytes(), { 1: { name: 'key', type: 'string', zeroCounts: true }, 2: { name: 'value', type, zeroCounts: true } });
    // Not by assignment: a key may be __proto__.
    Object.defineProperty(map, key as string, { value: value ?? zeroOf(type), enumerable: true, configurable: true, writable: true });
    return;
  }
  const value = readValue(reader, wire, field);
  if (value === undefined || (!field.zeroCounts && isZero(value))) return;
  object[name] = value;
}

function readValue(reader: Reader, wire: number, field: Field): unknown {
  const { type } = field;
  if (type === 'integer' || type === 'boolean') {
    if (wire !== wireVarint) throw wrongWire(field);
    return type === 'boolean' ? reader.varint() !== 0n : integer(reader.varint(), field.name);
  }
  if (wire !== wireBytes) throw wrongWire(field);
  const bytes = reader.bytes();
  switch (type) {
    case 'string':
      if (!isUtf8(bytes)) throw badRequest(`the body of the request is not protobuf: field ${field.name} is not UTF-8`);
      return bytes.toString('utf8');
    case 'base64':
      return bytes.toString('base64');
    case 'time':
    case 'microTime':
      return time(bytes, type);
    case 'json':
      return json(bytes, field.name);
    default:
      return readMessage(bytes, type);
  }
}

function zeroOf(type: FieldType): unknown {
  return type === 'integer' ? 0 : type === 'boolean' ? false : typeof type === 'string' ? '' : {};
}

function isZero(value: unknown): boolean {
  return value === 0 || value === '' || value === false || (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0);
}

function integer(varint: bigint, name: string): number {
  const value = Number(BigInt.asIntN(64, varint));
  if (!Number.isSafeInteger(value)) throw badRequest(`the body of the request is not protobuf: field ${name} holds a number that is too large`);
  return value;
}

const timeFields: MessageType = { 1: { name: 'seconds', type: 'integer' }, 2: { name: 'nanos', type: 'integer' } };

/** Undefined for the zero time, which stands for none. */
function time(bytes: Buffer, type: 'time' | 'microTime'): string | undefined {
  const { seconds = 0, nanos = 0 } = readMessage(bytes, timeFields) as { seconds?: number; nanos?: number };
  if ((seconds === 0 && nanos === 0) || seconds === secondsMin) return undefined;
  if (seconds < secondsMin || seconds > secondsMax || nanos < 0 || nanos >= 1e9) throw badRequest('the body of the request is not protobuf: a time is out of range');
  if (type === 'time') return timestamp(seconds * 1000);
  const micros = String(Math.floor(nanos / 1000)).padStart(6, '0');
  return microTimestamp(seconds * 1000).replace(/\.\d+Z$/, `.${micros}Z`);
}

const jsonField: MessageType = { 1: { name: 'raw', type: 'string' } };

/** metav1.FieldsV1: JSON text in a message. */
function json(bytes: Buffer, name: string): unknown {
  const { raw = '' } = readMessage(bytes, jsonField) as { raw?: string };
  try {
    return raw === '' ? undefined : (JSON.parse(raw) as unknown);
  } catch {
    throw badRequest(`the body of the request is not protobuf: field ${name} does not hold JSON`);
  }
}

function wrongWire({ name }: Field): Error {
  return badRequest(`the body of the request is not protobuf: wrong wire type for field ${name}`);
}

class Reader {
  #at = 0;

  constructor(private readonly data: Buffer) {}

  get atEnd(): boolean {
    return this.#at >= this.data.length;
  }

  tag(): { number: number; wire: number } {
    const tag = this.varint();
    const number = Number(tag >> 3n);
    if (number === 0 || number > 0x1fff_ffff) throw badRequest('the body of the request is not protobuf: it has a field of an impossible number');
    return { number, wire: Number(tag & 7n) };
  }

  varint(): bigint {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt(value);
    }
    let large = BigInt(value);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      large |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, large);
    }
    throw badRequest('the body of the request is not protobuf: a number has no end');
  }

  bytes(): Buffer {
    const length = Number(this.varint());
    if (length > this.data.length - this.#at) throw endsEarly();
    const bytes = this.data.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  skip(wire: number): void {
    switch (wire) {
      case wireVarint:
        this.varint();
        return;
      case wireBytes:
        this.bytes();
        return;
      case wireFixed64:
      case wireFixed32:
        this.#at += wire === wireFixed64 ? 8 : 4;
        if (this.#at > this.data.length) throw endsEarly();
        return;
      default:
        throw badRequest(`the body of the request is not protobuf: unknown wire type ${wire}`);
    }
  }

  #byte(): number {
    const byte = this.data[this.#at++];
    if (byte === undefined) throw endsEarly();
    return byte;
  }
}

function endsEarly(): Error {
  return badRequest('the body of the request is not protobuf: it ends too early');
}
