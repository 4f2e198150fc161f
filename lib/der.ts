// der.ts: as much of DER (ITU-T X.690) as a certificate needs, to write, and to find one's way in one that is there.

/** Tags of the universal types, as they stand in the encoding. */
export const tags = { boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, utf8String: 0x0c, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30, set: 0x31 } as const;

/** One element: tag, length, contents one after the other. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(length)]), ...contents]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 + bytes.length, ...bytes];
}

/** An object identifier: `2.5.4.3`. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return element(tags.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(128 + (rest % 128));
  return bytes;
}

/** Whole seconds, in years 1950 to 9999: as RFC 5280 4.1.2.5 has it, with two digits of the year up to 2049. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[^0-9]/g, '').slice(0, 14);
  return digits < '2050' ? element(tags.utcTime, Buffer.from(`${digits.slice(2)}Z`)) : element(tags.generalizedTime, Buffer.from(`${digits}Z`));
}

/** The elements within an element of others, each with its tag and length. */
export function childrenOf(encoded: Buffer): Buffer[] {
  const { start, end } = contentsOf(encoded, 0);
  const children: Buffer[] = [];
  for (let at = start; at < end; ) {
    const next = contentsOf(encoded, at).end;
    children.push(encoded.subarray(at, next));
    at = next;
  }
  return children;
}

/** What is in one element. */
export function valueOf(encoded: Buffer): Buffer {
  const { start, end } = contentsOf(encoded, 0);
  return encoded.subarray(start, end);
}

function contentsOf(encoded: Buffer, at: number): { start: number; end: number } {
  const first = encoded[at + 1]!;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const count = first - 0x80;
  const start = at + 2 + count;
  return { start, end: start + encoded.readUIntBE(at + 2, count) };
}
