import { describe, expect, it } from '@jest/globals';
import { configMapKind, secretKind, type ConfigMap, type Secret } from './config.js';
import { leaseKind, type Lease } from './lease.js';
import { applyDefaults, objectProblems } from './validation.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const map = (parts: Partial<ConfigMap>): ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' }, ...parts });
const secret = (type: string, data: Record<string, string>): Secret => ({
  apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a', namespace: 'default' }, type, data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
});
const texts = (problems: readonly { field: string; message: string }[]): string[] => problems.map(({ field, message }) => `${field}: ${message}`);

describe('a ConfigMap', () => {
  it('holds text and bytes, under a key each, up to 1 MiB', () => {
    expect(objectProblems(configMapKind, map({ data: { a: 'x'.repeat(2 ** 19) }, binaryData: { b: base64('x'.repeat(2 ** 19)) } }))).toEqual([]);
    expect(texts(objectProblems(configMapKind, map({ data: { a: 'x'.repeat(2 ** 20) }, binaryData: { b: base64('x') } })))).toEqual([': Too long: may not be more than 1048576 bytes']);
    expect(texts(objectProblems(configMapKind, map({ data: { k: '' }, binaryData: { k: '' } })))).toEqual([
      'data[k]: Invalid value: "k": duplicate of key present in binaryData',
      'binaryData[k]: Invalid value: "k": duplicate of key present in data',
    ]);
    expect(objectProblems(configMapKind, map({ data: { 'a b': '' } }))).toMatchObject([{ field: 'data[a b]', reason: 'FieldValueInvalid' }]);
  });

  it('that is immutable stays as it is, and immutable', () => {
    const old = map({ immutable: true, data: { a: '1' }, binaryData: { b: 'AA==' } });
    expect(configMapKind.validateUpdate!(old, old)).toEqual([]);
    expect(texts(configMapKind.validateUpdate!(map({ data: {} }), old))).toEqual(['immutable', 'data', 'binaryData'].map((field) => `${field}: Forbidden: field is immutable when \`immutable\` is set`));
  });
});

describe('a Secret', () => {
  it.each<[string, Record<string, string>, string[]]>([
    ['Opaque', {}, []],
    ['example.com/own', {}, []],
    ['kubernetes.io/tls', { 'tls.crt': '' }, ['data[tls.key]: Required value']],
    ['kubernetes.io/tls', { 'tls.crt': '', 'tls.key': '' }, []],
    ['kubernetes.io/ssh-auth', { 'ssh-privatekey': '' }, ['data[ssh-privatekey]: Required value']],
    ['kubernetes.io/basic-auth', { password: '' }, []],
    ['kubernetes.io/basic-auth', {}, ['data[username]: Required value', 'data[password]: Required value']],
    ['kubernetes.io/dockerconfigjson', { '.dockerconfigjson': '{"auths":{}}' }, []],
    ['kubernetes.io/dockerconfigjson', {}, ['data[.dockerconfigjson]: Required value']],
    ['kubernetes.io/dockerconfigjson', { '.dockerconfigjson': 'hunter2' }, ['data[.dockerconfigjson]: Invalid value: (hidden): must be a mapping in JSON']],
    ['kubernetes.io/dockercfg', { '.dockercfg': '[]' }, ['data[.dockercfg]: Invalid value: (hidden): must be a mapping in JSON']],
  ])('of type %s with %j has the problems %j', (type, data, expected) => {
    expect(texts(objectProblems(secretKind, secret(type, data)))).toEqual(expected);
  });

  it('keeps what is given as text beside what is given in base64, and its type for ever', () => {
    const object: Secret = { ...secret('Opaque', { a: '1', b: '2' }), stringData: { b: 'x', c: 'y' } };
    applyDefaults(secretKind, object);
    expect(object).toMatchObject({ data: { a: base64('1'), b: base64('x'), c: base64('y') } });
    expect(object).not.toHaveProperty('stringData');
    expect(texts(secretKind.validateUpdate!({ ...object, type: 'other' }, object))).toEqual(['type: Invalid value: "other": field is immutable']);
    expect(texts(objectProblems(secretKind, secret('Opaque', { a: 'x'.repeat(2 ** 20 + 1) })))).toEqual(['data: Too long: may not be more than 1048576 bytes']);
  });
});

describe('a Lease', () => {
  const lease = (spec: Lease['spec']): Lease => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'a', namespace: 'default' }, spec });

  it('is judged as Kubernetes does, and keeps its times to the microsecond', () => {
    const times = { acquireTime: '2026-01-01T00:00:00.123456Z', renewTime: '2026-01-01T00:00:00.000001Z' };
    expect(objectProblems(leaseKind, lease({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0, ...times }))).toEqual([]);
    expect(objectProblems(leaseKind, lease({ strategy: 'OldestEmulationVersion', preferredHolder: 'b' }))).toEqual([]);
    expect(objectProblems(leaseKind, lease({ strategy: 'example.com/own' }))).toEqual([]);
    expect(texts(objectProblems(leaseKind, lease({ leaseDurationSeconds: 0, leaseTransitions: -1, preferredHolder: 'b' })))).toEqual([
      'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
      'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
      'spec.preferredHolder: Forbidden: can only be specified if `strategy` is defined',
    ]);
    expect(texts(objectProblems(leaseKind, lease({ strategy: 'Odd' })))).toEqual(['spec.strategy: Unsupported value: "Odd": supported values: "OldestEmulationVersion"']);
  });
});
