// protobuf.ts: the wire format of protocol buffers, as far as length-delimited fields. https://protobuf.dev/programming-guides/encoding/

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A field that holds a message (or any bytes). */
export function field(number: number, value: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(value.length), value]);
}

/** A field that holds a string. */
export function text(number: number, value: string): Buffer {
  return field(number, Buffer.from(value, 'utf8'));
}

/** Fields one after the other are a message. */
export function message(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}
