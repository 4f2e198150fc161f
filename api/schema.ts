// schema.ts
//
// One JSON Schema per kind gives types (typebox), checks (ajv), defaults, unknown fields, OpenAPI and reference pages.
// This file turns a schema into the functions that the server calls on each write.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { TSchema } from 'typebox';
import { invalidValue, notSupported, problemsShownMax, required, type FieldProblem } from './errors.js';
import { parseMilli, quantityHelp } from './quantity.js';
import type { SchemaNode } from './schema-node.js';
import { compileDefaults, compileKnown, restSchema, type FillDefaults, type KnowsFields } from './schema-walks.js';

export type { SchemaNode } from './schema-node.js';

/** What the generic layers need of a kind's schema. None of it throws, whatever the value is. */
export interface SchemaRules {
  /** The whole object, for walks, reference pages and OpenAPI. */
  readonly root: SchemaNode;
  /** Whether a null that a client sends is a value of its own, for the schema to judge; absent: null means absent. */
  readonly keepsNulls?: boolean;
  /**
   * Everything that does not have the shape of the schema. Unknown fields are no problem here: see unknownFields.
   * @param old what is stored, when the value is to take its place: a schema that changes passes over what has not
   */
  problems(value: unknown, old?: unknown): FieldProblem[];
  /** Paths of fields that the schema does not know, such as `spec.comand`. */
  unknownFields(value: unknown): string[];
  /** Removes the fields that the schema does not know, in place. */
  prune(value: unknown): void;
  /** Fills in defaults, in place, wherever the object that holds them is present. */
  applyDefaults(value: unknown): void;
  /** What OpenAPI v2 publishes, which says less; absent: the root. */
  openApiV2?(): SchemaNode;
}

export class ObjectSchema implements SchemaRules {
  readonly root: SchemaNode;
  /** Says whether there is a problem, ten times as fast as the one that says which. */
  #judge: ValidateFunction | undefined;
  #validate: ValidateFunction | undefined;
  /** Made when first needed; null where there is nothing to do. */
  #fillDefaults: FillDefaults | null | undefined;
  #knowsFields: KnowsFields | null | undefined;

  constructor(schema: TSchema) {
    this.root = schema as unknown as SchemaNode;
  }

  problems(value: unknown): FieldProblem[] {
    this.#judge ??= judging.compile(this.root);
    if (this.#judge(value)) return [];
    this.#validate ??= telling.compile(this.root);
    this.#validate(value);
    const errors = (this.#validate.errors ?? []).filter((error) => error.keyword !== 'anyOf' && error.keyword !== 'if');
    const byField = new Map<string, FieldProblem>();
    for (const error of errors) {
      if (byField.size > problemsShownMax) break;
      const problem = problemOf(error, value);
      if (!byField.has(problem.field)) byField.set(problem.field, problem);
    }
    return [...byField.values()];
  }

  unknownFields(value: unknown): string[] {
    // Nearly always there are none: the paths are looked for only where there are some.
    if (this.#knowsFields === undefined) this.#knowsFields = compileKnown(this.root) ?? null;
    const found: string[] = [];
    if (this.#knowsFields && !this.#knowsFields(value)) walkUnknown(this.root, value, '', (path) => found.push(path));
    return found;
  }

  prune(value: unknown): void {
    walkUnknown(this.root, value, '', (_path, owner, key) => delete owner[key]);
  }

  applyDefaults(value: unknown): void {
    if (this.#fillDefaults === undefined) this.#fillDefaults = compileDefaults(this.root) ?? null;
    this.#fillDefaults?.(value);
  }
}

/** The schemas are ours, and a test judges them; that and polishing the code would double the time to compile one, which the first request waits for. */
const quickly = { strict: false, validateSchema: false, meta: false, code: { optimize: false } } as const;
const judging = withFormats(new Ajv({ ...quickly, messages: false }));
const telling = withFormats(new Ajv({ ...quickly, allErrors: true, verbose: true }));

function withFormats(ajv: Ajv): Ajv {
  ajv.addFormat('date-time', (text: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)));
  ajv.addFormat('byte', (text: string) => /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text));
  ajv.addFormat('quantity', { type: 'string', validate: (text: string) => parseMilli(text) !== undefined });
  ajv.addFormat('int32', true);
  ajv.addFormat('int64', true);
  return ajv;
}

const formatHelp: Record<string, string> = {
  'date-time': "must be an RFC 3339 time (e.g. '2026-01-31T12:00:00Z')",
  byte: 'must be base64',
  quantity: quantityHelp,
};

const typeNames: Record<string, string> = {
  object: 'a mapping',
  array: 'a list',
  string: 'a string',
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
};

function problemOf(error: ErrorObject, root: unknown): FieldProblem {
  const field = fieldPath(error.instancePath, root);
  switch (error.keyword) {
    case 'required':
      return required(join(field, String(error.params.missingProperty)));
    case 'enum':
      return notSupported(field, error.data, (error.params.allowedValues as unknown[]).map(String));
    case 'type': {
      const types = (Array.isArray(error.params.type) ? error.params.type : [error.params.type]) as string[];
      const names = types.map((type) => typeNames[type] ?? type).join(' or ');
      return { ...invalidValue(field, error.data, `must be ${names}`), reason: 'FieldValueTypeInvalid', undecodable: true };
    }
    case 'format':
      return { ...invalidValue(field, error.data, formatHelp[String(error.params.format)] ?? `must have the format ${String(error.params.format)}`), undecodable: true };
    case 'minimum':
      return invalidValue(field, error.data, `must be greater than or equal to ${String(error.params.limit)}`);
    case 'maximum':
      return invalidValue(field, error.data, `must be less than or equal to ${String(error.params.limit)}`);
    case 'minLength':
    case 'minItems':
      return invalidValue(field, error.data, 'must not be empty');
    default:
      return invalidValue(field, error.data, error.message ?? `breaks the rule ${error.keyword}`);
  }
}

/** `/spec/env/0/name` -> `spec.env[0].name`; keys that are no identifiers go in brackets. */
export function fieldPath(pointer: string, root: unknown): string {
  let path = '';
  let value: unknown = root;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path = Array.isArray(value) ? `${path}[${key}]` : join(path, key);
    value = (value as Record<string, unknown> | undefined)?.[key];
  }
  return path;
}

function join(path: string, key: string): string {
  if (!/^[A-Za-z_$][A-Za-z0-9_$]*$/.test(key)) return `${path}[${key}]`;
  return path ? `${path}.${key}` : key;
}

type Mapping = Record<string, unknown>;

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function walkUnknown(schema: SchemaNode, value: unknown, path: string, found: (path: string, owner: Mapping, key: string) => void): void {
  if (Array.isArray(value)) {
    if (schema.items) value.forEach((item, index) => walkUnknown(schema.items!, item, `${path}[${index}]`, found));
    return;
  }
  if (!isMapping(value) || schema['x-kubernetes-preserve-unknown-fields']) return;
  const rest = restSchema(schema);
  if (!schema.properties && rest === undefined) return;
  for (const key of Object.keys(value)) {
    const child = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : rest;
    if (child) walkUnknown(child, value[key], join(path, key), found);
    else found(join(path, key), value, key);
  }
}
