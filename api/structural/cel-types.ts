// cel-types.ts
//
// What rules see of values: the types that a schema gives them, and the values in those types.
//
//   integer             int (bigint)            string               string
//   number              double                  format byte          bytes
//   boolean             bool                    format date(-time)   timestamp
//   array               list                    format duration      duration
//   object              a type of its own       int-or-string        dyn: int or string
//   object of any keys  map                     nullable             dyn: null or the above
//
// Fields whose schema has no type are not seen. A field whose name is no identifier is seen under another, see escaped.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules

import type { Environment } from '@marcbachmann/cel-js';
import { Duration } from '@marcbachmann/cel-js/evaluator';
import { sameValue } from './cel-library.js';
import { parseGoDuration } from './formats.js';
import { isMapping } from './json.js';
import type { StructuralNode } from './node.js';

/** A type by its name in CEL, and how a JSON value becomes one of it. */
export interface CelType {
  name: string;
  convert(value: unknown): unknown;
}

type Entries = Iterable<readonly [string, unknown]>;

/** The types of one schema. They are given to an environment when all are known. */
export class CelTypes {
  readonly #byNode = new Map<StructuralNode, CelType | undefined>();
  readonly #objects: { name: string; ctor: new (entries: Entries) => Map<string, unknown>; fields: Record<string, string> }[] = [];

  /** Undefined when rules cannot speak of values of the node. */
  typeOf(node: StructuralNode): CelType | undefined {
    if (!this.#byNode.has(node)) {
      const type = this.#make(node);
      this.#byNode.set(node, type && node.nullable ? { name: 'dyn', convert: (value) => (value === null ? null : type.convert(value)) } : type);
    }
    return this.#byNode.get(node);
  }

  /** Names are few and the same for every schema: the library keeps each that it was ever told. */
  registerIn(environment: Environment): void {
    for (const { name, ctor, fields } of this.#objects) {
      environment.registerType(name, { ctor, fields });
      environment.registerOperator(`${name} == ${name}`, sameValue);
    }
  }

  #make(node: StructuralNode): CelType | undefined {
    if (node['x-kubernetes-int-or-string']) return { name: 'dyn', convert: (value) => (typeof value === 'number' ? toInt(value) : value) };
    switch (node.type) {
      case 'integer':
        return { name: 'int', convert: toInt };
      case 'number':
        return { name: 'double', convert: (value) => value };
      case 'boolean':
        return { name: 'bool', convert: (value) => value };
      case 'string':
        return textType(node.format ?? '');
      case 'array':
        return this.#list(node);
      case 'object':
        return this.#object(node);
      default:
        return undefined;
    }
  }

  #list({ items }: StructuralNode): CelType | undefined {
    const type = items && this.typeOf(items);
    if (!type) return undefined;
    return { name: `list<${type.name}>`, convert: (value) => (Array.isArray(value) ? value.map((item) => type.convert(item)) : []) };
  }

  #object(node: StructuralNode): CelType | undefined {
    if (typeof node.additionalProperties === 'object') {
      const type = this.typeOf(node.additionalProperties);
      if (!type) return undefined;
      return { name: `map<string, ${type.name}>`, convert: (value) => new Map(isMapping(value) ? Object.keys(value).map((key) => [key, type.convert(value[key])] as const) : []) };
    }
    const known = new Map<string, { as: string; type: CelType }>();
    for (const [key, child] of Object.entries({ ...node.properties, ...(node['x-kubernetes-embedded-resource'] ? typeAndMeta : {}) })) {
      const type = this.typeOf(child);
      const as = escaped(key);
      if (type && as !== undefined) known.set(key, { as, type });
    }
    const name = `object${this.#objects.length + 1}`;
    const ctor = class extends Map<string, unknown> {};
    this.#objects.push({ name, ctor, fields: Object.fromEntries([...known.values()].map(({ as, type }) => [as, type.name])) });
    return { name, convert: (value) => new ctor(isMapping(value) ? entriesOf(value, known) : []) };
  }
}

const text: StructuralNode = { type: 'string' };
const typeAndMeta: Record<string, StructuralNode> = { apiVersion: text, kind: text, metadata: { type: 'object', properties: { name: text, generateName: text } } };

function* entriesOf(value: Record<string, unknown>, known: ReadonlyMap<string, { as: string; type: CelType }>): Generator<readonly [string, unknown]> {
  for (const key of Object.keys(value)) {
    const field = known.get(key);
    if (field) yield [field.as, field.type.convert(value[key])];
  }
}

function toInt(value: unknown): unknown {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
}

function textType(format: string): CelType {
  switch (format.replaceAll('-', '')) {
    case 'byte':
      return { name: 'bytes', convert: (value) => Buffer.from(String(value), 'base64') };
    case 'date':
    case 'datetime':
      return { name: 'google.protobuf.Timestamp', convert: (value) => new Date(String(value)) };
    case 'duration':
      return { name: 'google.protobuf.Duration', convert: toDuration };
    default:
      return { name: 'string', convert: (value) => value };
  }
}

function toDuration(value: unknown): Duration {
  const nanoseconds = parseGoDuration(String(value)) ?? 0n;
  return new Duration(nanoseconds / 1_000_000_000n, Number(nanoseconds % 1_000_000_000n));
}

const reserved = new Set([
  'true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop', 'package',
  'namespace', 'return', 'var', 'void', 'while',
]);
const signs: Readonly<Record<string, string>> = { __: '__underscores__', '.': '__dot__', '-': '__dash__', '/': '__slash__' };

/** The name under which rules see a field: `x-prop` is `x__dash__prop`, `namespace` is `__namespace__`; undefined when they cannot. */
export function escaped(name: string): string | undefined {
  if (reserved.has(name)) return `__${name}__`;
  if (!/^[a-zA-Z_./-][a-zA-Z0-9_./-]*$/.test(name)) return undefined;
  return name.replace(/__|[./-]/g, (sign) => signs[sign]!);
}
