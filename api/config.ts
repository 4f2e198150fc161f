// config.ts: Secret and ConfigMap, the sources of a task's environment.

import { Type } from 'typebox';
import { forbiddenField, invalidValue, type FieldProblem } from './errors.js';
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
  validate: (object) => [...keyProblems(object.data, 'data'), ...keyProblems(object.binaryData, 'binaryData')],
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
  validate: (object) => keyProblems(object.data, 'data'),
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
