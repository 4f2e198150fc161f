// config.ts: Secret and ConfigMap, the sources of a task's environment.

import { Type } from 'typebox';
import { forbiddenField, invalidValue, required, type FieldProblem } from './errors.js';
import { ageColumn, nameColumn, type KindDefinition, type PrinterColumn } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { configKeyProblem, subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';
import { dequal } from 'dequal';

const opt = Type.Optional;

export interface ConfigMap extends KubeObject {
  apiVersion: 'v1';
  kind: 'ConfigMap';
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
  immutable?: boolean;
}

export interface Secret extends KubeObject {
  apiVersion: 'v1';
  kind: 'Secret';
  type?: string;
  /** Values in base64. */
  data?: Record<string, string>;
  /** Values as they are; the server moves them into data and never returns them here. */
  stringData?: Record<string, string>;
  immutable?: boolean;
}

const head = (kind: string) => ({
  apiVersion: Type.String({ description: 'v1' }),
  kind: Type.String({ description: kind }),
  metadata: ObjectMeta,
  immutable: opt(Type.Boolean({ description: 'Whether the data may no longer change.' })),
});

const base64Values = (description: string) => opt(Type.Record(Type.String(), Type.String({ format: 'byte' }), { description }));

function keyProblems(data: Record<string, string> | undefined, field: string): FieldProblem[] {
  return Object.keys(data ?? {}).flatMap((key) => {
    const problem = configKeyProblem(key);
    return problem ? [invalidValue(`${field}[${key}]`, key, problem)] : [];
  });
}

/** Bytes of all values of one object together, decoded. */
const valuesBytesMax = 1024 * 1024;

function decodedBytes(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

function sizeProblems(bytes: number, field: string): FieldProblem[] {
  return bytes > valuesBytesMax ? [{ field, reason: 'FieldValueTooLong', message: `Too long: may not be more than ${valuesBytesMax} bytes` }] : [];
}

/** A key is in one of the two only; each tells of the other. */
function twiceProblems({ data = {}, binaryData = {} }: ConfigMap): FieldProblem[] {
  const twice = Object.keys(data).filter((key) => Object.hasOwn(binaryData, key));
  return twice.flatMap((key) => [
    invalidValue(`data[${key}]`, key, 'duplicate of key present in binaryData'),
    invalidValue(`binaryData[${key}]`, key, 'duplicate of key present in data'),
  ]);
}

/**
 * What the types of Secret that Kubernetes knows must hold. No message may show a value.
 * https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
 */
function typeProblems({ type, data = {} }: Secret): FieldProblem[] {
  const missing = (...keys: string[]): FieldProblem[] => keys.filter((key) => !Object.hasOwn(data, key)).map((key) => required(`data[${key}]`));
  switch (type) {
    case 'kubernetes.io/tls':
      return missing('tls.crt', 'tls.key');
    case 'kubernetes.io/ssh-auth':
      return data['ssh-privatekey'] ? [] : [required('data[ssh-privatekey]')];
    case 'kubernetes.io/basic-auth': {
      const absent = missing('username', 'password');
      return absent.length === 2 ? absent : [];
    }
    case 'kubernetes.io/dockerconfigjson':
      return missing('.dockerconfigjson').concat(mappingProblems(data, '.dockerconfigjson'));
    case 'kubernetes.io/dockercfg':
      return missing('.dockercfg').concat(mappingProblems(data, '.dockercfg'));
    default:
      return [];
  }
}

function mappingProblems(data: Record<string, string>, key: string): FieldProblem[] {
  const value = data[key];
  if (value === undefined) return [];
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, 'base64').toString('utf8'));
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return [];
  } catch {
    // What the parser has to say quotes the secret.
  }
  return [invalidValue(`data[${key}]`, '<secret contents redacted>', 'must be a mapping in JSON')];
}

function immutableProblems(next: ConfigMap | Secret, old: ConfigMap | Secret): FieldProblem[] {
  if (!old.immutable) return [];
  const problems: FieldProblem[] = [];
  if (!next.immutable) problems.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'));
  for (const field of ['data', 'binaryData'] as const) {
    if (!dequal(next[field] ?? {}, old[field] ?? {})) problems.push(forbiddenField(field, 'field is immutable when `immutable` is set'));
  }
  return problems;
}

const common = {
  group: '',
  version: 'v1',
  categories: [],
  namespaced: true,
  statusSubresource: false,
  nameProblem: subdomainProblem,
} as const;

const dataColumn = (count: (object: ConfigMap | Secret) => number): PrinterColumn<ConfigMap | Secret> => ({
  name: 'Data',
  type: 'string',
  priority: 0,
  description: 'How many keys it holds.',
  cell: count,
});

export const configMapKind: KindDefinition<ConfigMap> = {
  ...common,
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  description: 'A ConfigMap holds settings that tasks read as environment variables.',
  schema: new ObjectSchema(
    Type.Object({
      ...head('ConfigMap'),
      data: opt(Type.Record(Type.String(), Type.String(), { description: 'Values by key.' })),
      binaryData: base64Values('Binary values by key, in base64.'),
    }),
  ),
  validate(object) {
    let bytes = 0;
    for (const value of Object.values(object.data ?? {})) bytes += Buffer.byteLength(value);
    for (const value of Object.values(object.binaryData ?? {})) bytes += decodedBytes(value);
    return [...keyProblems(object.data, 'data'), ...keyProblems(object.binaryData, 'binaryData'), ...twiceProblems(object), ...sizeProblems(bytes, '')];
  },
  validateUpdate: immutableProblems,
  columns: [
    nameColumn,
    dataColumn((object) => Object.keys(object.data ?? {}).length + Object.keys((object as ConfigMap).binaryData ?? {}).length),
    ageColumn,
  ],
};

export const secretKind: KindDefinition<Secret> = {
  ...common,
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  description: 'A Secret holds values that tasks read as environment variables and that nobody else should see.',
  schema: new ObjectSchema(
    Type.Object({
      ...head('Secret'),
      type: opt(Type.String({ default: 'Opaque', description: 'What the secret is for.' })),
      data: base64Values('Values by key, in base64.'),
      stringData: opt(Type.Record(Type.String(), Type.String(), { description: 'Values as they are; the server keeps them in data.' })),
    }),
  ),
  applyDefaults(secret) {
    if (!secret.stringData) return;
    secret.data ??= {};
    for (const [key, value] of Object.entries(secret.stringData)) secret.data[key] = Buffer.from(value, 'utf8').toString('base64');
    delete secret.stringData;
  },
  validate(object) {
    let bytes = 0;
    for (const value of Object.values(object.data ?? {})) bytes += decodedBytes(value);
    return [...keyProblems(object.data, 'data'), ...sizeProblems(bytes, 'data'), ...typeProblems(object)];
  },
  validateUpdate(next, old) {
    const problems = immutableProblems(next, old);
    if (next.type !== old.type) problems.push(invalidValue('type', next.type, 'field is immutable'));
    return problems;
  },
  selectableFields: { type: (secret) => secret.type ?? '' },
  columns: [
    nameColumn,
    { name: 'Type', type: 'string', priority: 0, description: 'What the secret is for.', cell: (secret) => secret.type ?? 'Opaque' },
    dataColumn((object) => Object.keys(object.data ?? {}).length),
    ageColumn,
  ],
};
