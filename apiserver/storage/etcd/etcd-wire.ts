// etcd-wire.ts
//
// As much of protobuf's encoding as etcd's messages need (https://protobuf.dev/programming-guides/encoding/): varints, and
// fields of bytes, which texts and messages are.
//
// The writer fills its buffer from the end: what a message holds is there before its length has to be told, so that one pass
// does, whatever is nested in what.

const varintType = 0;
const bytesType = 2;
const moreBit = 0x80;
const lowBits = 0x7f;
/** A text of this length or shorter has its length told in one byte, whatever its characters. */
const headBytesMax = 12;

export class WireWriter {
  #buffer: Buffer;
  #at: number;

  /** @param bytes what the message will take, about; it grows when that is too few */
  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafe(bytes);
    this.#at = bytes;
  }

  /** Where the fields that are written next will end: for `close`. */
  mark(): number {
    return this.#buffer.length - this.#at;
  }

  /** Makes what was written since `mark` one field. */
  close(field: number, mark: number): void {
    this.#reserve(headBytesMax);
    this.#varint(this.mark() - mark);
    this.#varint((field << 3) | bytesType);
  }

  /** A field of text. */
  text(field: number, text: string): void {
    const mark = this.mark();
    this.raw(text);
    this.close(field, mark);
  }

  /** Text without a head, in front of what was written last. */
  raw(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.#reserve(bytes);
    this.#at -= bytes;
    // As many bytes as characters are plain ASCII, which latin1 copies as it is.
    this.#buffer.write(text, this.#at, bytes, bytes === text.length ? 'latin1' : 'utf8');
  }

  /** A field of an integer or a flag. @param value a safe integer; anything in 64 bits as a bigint */
  integer(field: number, value: number | bigint): void {
    this.#reserve(2 * headBytesMax);
    if (typeof value === 'bigint' || value < 0) this.#varint64(BigInt.asUintN(64, BigInt(value)));
    else this.#varint(value);
    this.#varint((field << 3) | varintType);
  }

  /** The message. */
  finish(): Buffer {
    return this.#buffer.subarray(this.#at);
  }

  #reserve(bytes: number): void {
    if (this.#at >= bytes) return;
    const written = this.mark();
    const grown = Buffer.allocUnsafe(2 * (written + bytes));
    this.#buffer.copy(grown, grown.length - written, this.#at);
    this.#buffer = grown;
    this.#at = grown.length - written;
  }

  #varint(value: number): void {
    let bytes = 1;
    for (let rest = value; rest > lowBits; rest = Math.floor(rest / moreBit)) bytes++;
    this.#at -= bytes;
    let rest = value;
    for (let at = this.#at; at < this.#at + bytes - 1; at++) {
      this.#buffer[at] = (rest % moreBit) + moreBit;
      rest = Math.floor(rest / moreBit);
    }
    this.#buffer[this.#at + bytes - 1] = rest;
  }

  #varint64(value: bigint): void {
    const bytes: number[] = [];
    let rest = value;
    for (; rest > lowBits; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | moreBit);
    bytes.push(Number(rest));
    this.#at -= bytes.length;
    this.#buffer.set(bytes, this.#at);
  }
}

/**
 * Goes over the fields of a message: `while (reader.next(end))` stands on each in turn, of which `field` is the number. The caller
 * takes its value with `integer`, `text` or `open`; one that nobody takes is passed over.
 */
export class WireReader {
  readonly buffer: Buffer;
  field = 0;
  #at = 0;
  #type = 0;
  /** Behind the value of this field, once it is known. */
  #taken = true;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  /** Where the reader stands. */
  get at(): number {
    return this.#at;
  }

  /** @param end where the message ends @throws RangeError when its bytes are no message */
  next(end: number): boolean {
    if (!this.#taken) this.#skip();
    if (this.#at >= end) {
      if (this.#at > end) throw new RangeError('a field reaches beyond its message');
      return false;
    }
    const tag = this.#varint();
    this.field = tag >>> 3;
    this.#type = tag & 7;
    this.#taken = false;
    return true;
  }

  /** Whether it stands on this field. */
  is(field: number): boolean {
    return this.field === field;
  }

  /** Whether the flag is set. */
  flag(): boolean {
    return this.integer() !== 0;
  }

  /** An integer that is not negative; exact up to 2^53. */
  integer(): number {
    this.#expect(varintType);
    return this.#varint();
  }

  text(): string {
    const end = this.open();
    const from = this.#at;
    this.#at = end;
    return this.buffer.toString('utf8', from, end);
  }

  /** Goes into the field: from `at` up to the end that is answered there is its message, or its bytes, to be passed with `leave`. */
  open(): number {
    this.#expect(bytesType);
    const length = this.#varint();
    const end = this.#at + length;
    if (end > this.buffer.length) throw new RangeError('a field reaches beyond the message');
    return end;
  }

  /** Goes on behind a field that was opened. */
  leave(end: number): void {
    this.#at = end;
    this.#taken = true;
  }

  #expect(type: number): void {
    if (this.#type !== type) throw new RangeError(`field ${this.field} has wire type ${this.#type}, not ${type}`);
    this.#taken = true;
  }

  #skip(): void {
    this.#taken = true;
    switch (this.#type) {
      case varintType:
        this.#varint();
        return;
      case 1:
        this.#at += 8;
        return;
      case bytesType: {
        const length = this.#varint();
        this.#at += length;
        return;
      }
      case 5:
        this.#at += 4;
        return;
      default:
        throw new RangeError(`field ${this.field} has wire type ${this.#type}, which is unknown`);
    }
  }

  #varint(): number {
    const { buffer } = this;
    let value = 0;
    for (let factor = 1; ; factor *= moreBit) {
      const byte = buffer[this.#at++];
      if (byte === undefined) throw new RangeError('the message ends in the middle of a number');
      value += (byte & lowBits) * factor;
      if (byte < moreBit) return value;
    }
  }
}
