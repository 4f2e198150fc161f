import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../../api/errors.js';
import { field, message, text } from '../protobuf.js';
import { decodeProtobuf } from './decode.js';
import type { Field, MessageType } from './reader.js';
import { messageTypeOf } from './types.js';

const magic = Buffer.from('k8s\0', 'latin1');

function framed(apiVersion: string, kind: string, raw: Buffer): Buffer {
  return Buffer.concat([magic, field(1, message(text(1, apiVersion), text(2, kind))), field(2, raw), text(3, ''), text(4, '')]);
}

function number(at: number, value: bigint | number): Buffer {
  const bytes: number[] = [];
  const push = (given: bigint): void => {
    let rest = BigInt.asUintN(64, given);
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
  };
  push(BigInt(at * 8));
  push(BigInt(value));
  return Buffer.from(bytes);
}

const entry = (key: string, value: Buffer): Buffer => message(text(1, key), field(2, value));

describe('a protobuf body', () => {
  it('is the object that kubectl create secret sends, without the zeroes of Go', () => {
    const metadata = message(text(1, 'key'), text(2, ''), text(3, 'team'), text(4, ''), text(5, ''), text(6, ''), number(7, 0), field(8, Buffer.alloc(0)));
    const raw = message(field(1, metadata), field(2, entry('user', Buffer.from('me'))), field(2, entry('empty', Buffer.alloc(0))), text(3, 'Opaque'));
    expect(decodeProtobuf(framed('v1', 'Secret', raw))).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', namespace: 'team' },
      data: { user: 'bWU=', empty: '' },
      type: 'Opaque',
    });
  });

  it('keeps the zeroes that say something', () => {
    expect(decodeProtobuf(framed('v1', 'DeleteOptions', message(number(1, 0), text(4, 'Background'), text(5, 'All'))))).toEqual({
      apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, propagationPolicy: 'Background', dryRun: ['All'],
    });
    expect(decodeProtobuf(framed('autoscaling/v1', 'Scale', message(field(2, number(1, 0)))))).toMatchObject({ spec: { replicas: 0 } });
  });

  it('is a lease with its times to the microsecond', () => {
    const time = (seconds: number, nanos: number): Buffer => message(number(1, seconds), number(2, nanos));
    const spec = message(text(1, 'me'), number(2, 15), field(3, time(0, 0)), field(4, time(1_767_225_600, 123_456_789)), number(5, 0));
    expect(decodeProtobuf(framed('coordination.k8s.io/v1', 'Lease', message(field(1, text(1, 'lock')), field(2, spec))))).toEqual({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'lock' },
      spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.123456Z', leaseTransitions: 0 },
    });
  });

  it('reads managedFields as JSON', () => {
    const managed = message(text(1, 'kubectl'), text(2, 'Update'), text(6, 'FieldsV1'), field(7, text(1, '{"f:data":{}}')));
    expect(decodeProtobuf(framed('v1', 'ConfigMap', field(1, field(17, managed))))).toMatchObject({
      metadata: { managedFields: [{ manager: 'kubectl', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': {} } }] },
    });
  });

  it('passes over fields that it does not know', () => {
    const fixed64 = Buffer.from([0xf9, 0x05, 0, 0, 0, 0, 0, 0, 0, 0]);
    const odd = message(field(1, text(1, 'a')), text(99, 'later'), number(98, -1), fixed64);
    expect(decodeProtobuf(framed('v1', 'Namespace', odd))).toEqual({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } });
  });

  it.each<[string, Buffer, string]>([
    ['no frame', Buffer.from('{"kind":"Secret"}'), 'does not begin with'],
    ['nothing', Buffer.alloc(0), 'does not begin with'],
    ['an end that is too early', framed('v1', 'Secret', Buffer.from([0x0a, 0x7f, 1])), 'ends too early'],
    ['a text where a message should be', framed('v1', 'Secret', number(1, 5)), 'wrong wire type for field metadata'],
    ['a text that is not UTF-8', framed('v1', 'Secret', field(1, field(1, Buffer.from([0xff])))), 'field name is not UTF-8'],
    ['a time after the year 9999', framed('v1', 'Namespace', field(1, field(8, number(1, 1n << 40n)))), 'a time is out of range'],
    ['groups', framed('v1', 'Secret', Buffer.from([0x9b, 0x06])), 'unknown wire type'],
  ])('is refused with %s', (_, body, why) => {
    expect(() => decodeProtobuf(body)).toThrow(expect.objectContaining({ reason: 'BadRequest', message: expect.stringContaining(why) }));
  });

  it('of a kind that is sent as JSON only is an unsupported media type', () => {
    expect(() => decodeProtobuf(framed('v1', 'Pod', Buffer.alloc(0)))).toThrow(expect.objectContaining({ code: 415 }));
  });

  it('keeps a key that would be the prototype as a key', () => {
    const decoded = decodeProtobuf(framed('v1', 'ConfigMap', field(2, entry('__proto__', Buffer.from('x')))));
    expect(Object.keys(decoded['data'] as object)).toEqual(['__proto__']);
  });

  it('of any bytes is a value or a refusal', () => {
    const kinds = fc.constantFrom(['v1', 'Secret'], ['v1', 'Event'], ['coordination.k8s.io/v1', 'Lease'], ['authorization.k8s.io/v1', 'SubjectAccessReview'], ['v1', 'DeleteOptions']);
    const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(kinds, bytes, fc.boolean(), ([apiVersion, kind], raw, whole) => {
        try {
          expect(decodeProtobuf(whole ? framed(apiVersion!, kind!, raw) : Buffer.concat([magic, raw]))).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
          expect([400, 415]).toContain((error as ApiError).code);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives back what was encoded, for every field of every type', () => {
    const types: [string, string][] = [['v1', 'Namespace'], ['v1', 'ConfigMap'], ['v1', 'Event'], ['events.k8s.io/v1', 'Event'], ['authorization.k8s.io/v1', 'SelfSubjectAccessReview'], ['v1', 'Binding']];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.infiniteStream(fc.nat(1_000_000)), ([apiVersion, kind], numbers) => {
        const next = (): number => 1 + (numbers.next().value as number);
        const type = messageTypeOf(apiVersion, kind)!;
        const value = valueOf(type, next);
        expect(decodeProtobuf(framed(apiVersion, kind, encoded(type, value)))).toEqual({ apiVersion, kind, ...value });
      }),
      { numRuns: 100 },
    );
  });
});

function valueOf(type: MessageType, next: () => number): Record<string, unknown> {
  const one = (kind: Field['type']): unknown => {
    if (typeof kind === 'object') return valueOf(kind, next);
    switch (kind) {
      case 'string':
        return `text ${next()} ä`;
      case 'integer':
        return next();
      case 'boolean':
        return true;
      case 'base64':
        return Buffer.from(String(next())).toString('base64');
      case 'time':
        return new Date(next() * 1000).toISOString().replace('.000', '');
      case 'microTime':
        return new Date(next() * 1000).toISOString().replace('.000', '.000001');
      case 'json':
        return { 'f:x': { n: next() } };
    }
  };
  const entries = Object.values(type).map(({ name, type: kind, repeated }) => [name, repeated === 'list' ? [one(kind), one(kind)] : repeated === 'map' ? { a: one(kind), b: one(kind) } : one(kind)] as const);
  return Object.fromEntries(entries);
}

function encoded(type: MessageType, value: Record<string, unknown>): Buffer {
  const one = (at: number, kind: Field['type'], part: unknown): Buffer => {
    if (typeof kind === 'object') return field(at, encoded(kind, part as Record<string, unknown>));
    switch (kind) {
      case 'string':
        return text(at, part as string);
      case 'integer':
        return number(at, part as number);
      case 'boolean':
        return number(at, part ? 1 : 0);
      case 'base64':
        return field(at, Buffer.from(part as string, 'base64'));
      case 'time':
      case 'microTime':
        return field(at, message(number(1, Math.floor(Date.parse(part as string) / 1000)), ...(kind === 'time' ? [] : [number(2, 1_000)])));
      case 'json':
        return field(at, text(1, JSON.stringify(part)));
    }
  };
  return message(
    ...Object.entries(type).flatMap(([at, { name, type: kind, repeated }]) => {
      const part = value[name];
      if (repeated === 'list') return (part as unknown[]).map((item) => one(Number(at), kind, item));
      if (repeated === 'map') return Object.entries(part as object).map(([key, item]) => field(Number(at), message(text(1, key), one(2, kind, item))));
      return [one(Number(at), kind, part)];
    }),
  );
}
