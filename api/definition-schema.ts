// definition-schema.ts: the schema of definitions, which knows which keywords a schema inside one may have: others are unknown fields, as in any typed object.

import { ObjectSchema } from './schema.js';

type Mapping = Record<string, unknown>;
type Found = (path: string, owner: Mapping, key: string) => void;

const schemaKeys = ['items', 'not', 'additionalProperties', 'additionalItems'];
const schemaListKeys = ['allOf', 'anyOf', 'oneOf'];
const schemaMapKeys = ['properties', 'patternProperties', 'definitions', 'dependencies'];
const plainKeys = [
  'id', '$schema', '$ref', 'description', 'type', 'format', 'title', 'default', 'maximum', 'exclusiveMaximum', 'minimum', 'exclusiveMinimum', 'maxLength', 'minLength', 'pattern',
  'maxItems', 'minItems', 'uniqueItems', 'multipleOf', 'enum', 'maxProperties', 'minProperties', 'required', 'externalDocs', 'example', 'nullable',
  'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource', 'x-kubernetes-int-or-string', 'x-kubernetes-list-map-keys', 'x-kubernetes-list-type', 'x-kubernetes-map-type', 'x-kubernetes-validations',
];
const known: ReadonlySet<string> = new Set([...schemaKeys, ...schemaListKeys, ...schemaMapKeys, ...plainKeys]);

export class DefinitionSchema extends ObjectSchema {
  override unknownFields(value: unknown): string[] {
    const found = super.unknownFields(value);
    walkDefinition(value, (path) => found.push(path));
    return found;
  }

  override prune(value: unknown): void {
    super.prune(value);
    walkDefinition(value, (_path, owner, key) => delete owner[key]);
  }
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function walkDefinition(value: unknown, found: Found): void {
  const spec = isMapping(value) ? value['spec'] : undefined;
  const versions = isMapping(spec) ? spec['versions'] : undefined;
  if (!Array.isArray(versions)) return;
  versions.forEach((version: unknown, index) => {
    const schema = isMapping(version) ? version['schema'] : undefined;
    if (isMapping(schema)) walkSchema(schema['openAPIV3Schema'], `spec.versions[${index}].schema.openAPIV3Schema`, found);
  });
}

/** As deep as the request's limit of nesting allows. */
function walkSchema(schema: unknown, path: string, found: Found): void {
  if (Array.isArray(schema)) return schema.forEach((item, index) => walkSchema(item, `${path}[${index}]`, found));
  if (!isMapping(schema)) return;
  for (const key of Object.keys(schema)) {
    const child = schema[key];
    const at = `${path}.${key}`;
    if (schemaKeys.includes(key) || schemaListKeys.includes(key)) walkSchema(child, at, found);
    else if (schemaMapKeys.includes(key)) {
      if (isMapping(child)) for (const [name, property] of Object.entries(child)) walkSchema(property, `${at}.${name}`, found);
    } else if (!known.has(key)) found(at, schema, key);
  }
}
