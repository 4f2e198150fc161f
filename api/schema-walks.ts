// schema-walks.ts
//
// The walks over an object that a schema asks for on every write, compiled once per schema: of the schema they keep only the
// places where there is something to do. Most of an object (labels, lists of strings, amounts) is then not looked at.

import type { SchemaNode } from './schema-node.js';

type Mapping = Record<string, unknown>;

/** Fills in the defaults of a schema below `value`, in place. */
export type FillDefaults = (value: unknown) => void;

/** Whether all fields below `value` are known to a schema. */
export type KnowsFields = (value: unknown) => boolean;

/** The schema of keys that are not named, where a mapping has any. */
export function restSchema(schema: SchemaNode): SchemaNode | undefined {
  if (isMapping(schema.additionalProperties)) return schema.additionalProperties as SchemaNode;
  return schema.patternProperties ? Object.values(schema.patternProperties)[0] : undefined;
}

/** Undefined for a schema without defaults. */
export function compileDefaults(schema: SchemaNode): FillDefaults | undefined {
  const items = schema.items && compileDefaults(schema.items);
  const fields = Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const fill = compileDefaults(child);
    return child.default === undefined && !fill ? [] : [{ key, make: child.default === undefined ? undefined : maker(child.default), fill }];
  });
  const others = restSchema(schema);
  const rest = others && compileDefaults(others);
  if (!items && fields.length === 0 && !rest) return undefined;
  const named = new Set(Object.keys(schema.properties ?? {}));
  return (value) => {
    if (Array.isArray(value)) {
      if (items) for (const item of value) items(item);
      return;
    }
    if (!isMapping(value)) return;
    for (const { key, make, fill } of fields) {
      if (make && value[key] === undefined) value[key] = make();
      if (fill && value[key] !== undefined) fill(value[key]);
    }
    if (rest) for (const key of Object.keys(value)) if (!named.has(key)) rest(value[key]);
  };
}

/** Objects must not share a default that is one. */
function maker(value: unknown): () => unknown {
  return typeof value === 'object' && value !== null ? () => structuredClone(value) : () => value;
}

/** Undefined for a schema that takes every field. */
export function compileKnown(schema: SchemaNode): KnowsFields | undefined {
  const items = schema.items && compileKnown(schema.items);
  const mapping = compileKnownMapping(schema);
  if (!items && !mapping) return undefined;
  return (value) => {
    if (typeof value !== 'object' || value === null) return true;
    if (!Array.isArray(value)) return !mapping || mapping(value as Mapping);
    return !items || value.every(items);
  };
}

function compileKnownMapping(schema: SchemaNode): ((value: Mapping) => boolean) | undefined {
  if (schema['x-kubernetes-preserve-unknown-fields']) return undefined;
  const others = restSchema(schema);
  if (!schema.properties && others === undefined) return undefined;
  const rest = others && compileKnown(others);
  const named = new Map(Object.entries(schema.properties ?? {}).map(([key, child]) => [key, compileKnown(child)]));
  if (others && !rest && [...named.values()].every((child) => child === undefined)) return undefined;
  return (value) => {
    for (const key of Object.keys(value)) {
      const child = named.get(key);
      if (child) {
        if (!child(value[key])) return false;
      } else if (!named.has(key)) {
        if (!others || (rest && !rest(value[key]))) return false;
      }
    }
    return true;
  };
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
