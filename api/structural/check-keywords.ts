// check-keywords.ts: keywords by themselves. What each may hold, which ones Kubernetes has not, and what goes with what at one node.

import { forbiddenField, invalidValue, notSupported, required, type FieldProblem } from '../errors.js';
import { listProblems } from './check-lists.js';
import { childPath, isMapping, keyPath } from './json.js';
import { keywords, schemaDepthMax, typeAndObjectMeta, type KeywordType, type StructuralNode } from './node.js';

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

/** Of JSON Schema and OpenAPI, but not of Kubernetes. */
const foreign: ReadonlySet<string> = new Set([
  '$ref', 'additionalItems', 'definitions', 'dependencies', 'deprecated', 'discriminator', 'id', 'patternProperties', 'readOnly', 'writeOnly', 'xml',
]);

const wanted: Readonly<Record<KeywordType, string>> = {
  string: 'a string',
  number: 'a number',
  count: 'an integer of 0 or more',
  boolean: 'true or false',
  strings: 'a list of strings',
  any: '',
  list: 'a list',
  mapping: 'a mapping',
  schema: 'a schema',
  schemas: 'a list of schemas',
  schemaMap: 'a mapping of names to schemas',
  schemaOrBoolean: 'a schema, true or false',
  rules: 'a list of rules',
};

/** Keywords that hold something of another type, and such as Kubernetes refuses by name. */
export function keywordProblems(schema: unknown, path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  look(schema, path, 0, problems);
  return problems;
}

function look(schema: unknown, path: string, depth: number, problems: FieldProblem[]): void {
  if (!isMapping(schema)) return void problems.push(invalidValue(path, schema, 'must be a schema: a mapping'));
  if (depth > schemaDepthMax) return void problems.push(invalidValue(path, '', `schemas must not nest deeper than ${schemaDepthMax} levels`));
  for (const key of Object.keys(schema)) {
    const at = childPath(path, key);
    const value = schema[key];
    const type = keywords.get(key);
    if (foreign.has(key)) {
      if (value !== false && value !== null) problems.push(forbiddenField(at, `${key} is not supported`));
    } else if (type === undefined || (value === null && type !== 'schema')) continue;
    else if (key === 'items' && Array.isArray(value)) problems.push(forbiddenField(at, 'items must be a schema object and not an array'));
    else if (!holds(type, value)) problems.push({ ...invalidValue(at, value, `must be ${wanted[type]}`), reason: 'FieldValueTypeInvalid' });
    else lookBelow(type, value, at, depth + 1, problems);
  }
}

function holds(type: KeywordType, value: unknown): boolean {
  switch (type) {
    case 'any':
      return true;
    case 'count':
      return Number.isInteger(value) && (value as number) >= 0;
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'list':
    case 'schemas':
      return Array.isArray(value);
    case 'rules':
      return Array.isArray(value) && value.every(isRule);
    case 'mapping':
    case 'schema':
    case 'schemaMap':
      return isMapping(value);
    case 'schemaOrBoolean':
      return typeof value === 'boolean' || isMapping(value);
    default:
      return typeof value === type;
  }
}

function isRule(value: unknown): boolean {
  if (!isMapping(value)) return false;
  const texts = ['rule', 'message', 'messageExpression', 'reason', 'fieldPath'].map((key) => value[key]);
  return texts.every((text) => text === undefined || text === null || typeof text === 'string') && ['boolean', 'undefined'].includes(typeof (value['optionalOldSelf'] ?? undefined));
}

function lookBelow(type: KeywordType, value: unknown, path: string, depth: number, problems: FieldProblem[]): void {
  if (type === 'schema' || (type === 'schemaOrBoolean' && isMapping(value))) look(value, path, depth, problems);
  else if (type === 'schemas') (value as unknown[]).forEach((item, index) => look(item, keyPath(path, index), depth, problems));
  else if (type === 'schemaMap') for (const [key, child] of Object.entries(value as object)) look(child, keyPath(path, key), depth, problems);
}

/** Where a node stands, as far as it matters to what it may say. */
interface Place {
  isRoot?: boolean;
  /** In metadata, apiVersion or kind of an object. */
  inMeta?: boolean;
  /** Why defaults are refused here. */
  noDefaults?: string;
}

/** What keywords of one node ask of each other, at the node and below it. */
export function openApiProblems(node: StructuralNode, path: string, place: Place = { isRoot: true }): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { type, properties, additionalProperties } = node;
  if (place.isRoot && node.nullable) problems.push(forbiddenField(`${path}.nullable`, 'nullable cannot be true at the root'));
  if (type === 'null') problems.push(forbiddenField(`${path}.type`, 'type cannot be set to null, use nullable as an alternative'));
  else if (type && !types.includes(type)) problems.push(notSupported(`${path}.type`, type, types));
  if (node.default !== undefined && place.noDefaults) problems.push(forbiddenField(`${path}.default`, `must not be set ${place.noDefaults}`));
  if (place.inMeta && node['x-kubernetes-embedded-resource']) problems.push(forbiddenField(`${path}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta'));
  if (node.uniqueItems) problems.push(forbiddenField(`${path}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'));
  if (additionalProperties !== undefined && additionalProperties !== true && properties && Object.keys(properties).length > 0) {
    problems.push(forbiddenField(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'));
  }
  if (node['x-kubernetes-preserve-unknown-fields'] === false) problems.push(invalidValue(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'));
  problems.push(...mapTypeProblems(node, path), ...listProblems(node, path));
  for (const [child, at, where] of below(node, path, place)) for (const problem of openApiProblems(child, at, where)) problems.push(problem);
  return problems;
}

function* below(node: StructuralNode, path: string, { isRoot, inMeta, noDefaults }: Place): Generator<[StructuralNode, string, Place]> {
  const here: Place = { ...(inMeta ? { inMeta } : {}), ...(noDefaults ? { noDefaults } : {}) };
  if (typeof node.additionalProperties === 'object') {
    yield [node.additionalProperties, `${path}.additionalProperties`, inMeta ? { ...here, noDefaults: 'inside additionalProperties applying to object metadata' } : here];
  }
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const isMeta = typeAndObjectMeta.has(key) && (isRoot || node['x-kubernetes-embedded-resource'] === true);
    yield [child, keyPath(`${path}.properties`, key), { ...here, ...(isMeta ? { inMeta: true } : {}), ...(isMeta && isRoot ? { noDefaults: `in top-level ${key}` } : {}) }];
  }
  if (node.items) yield [node.items, `${path}.items`, here];
  if (node.not) yield [node.not, `${path}.not`, here];
  for (const junctor of ['allOf', 'anyOf', 'oneOf'] as const) for (const [index, child] of (node[junctor] ?? []).entries()) yield [child, keyPath(`${path}.${junctor}`, index), here];
}

function mapTypeProblems(node: StructuralNode, path: string): FieldProblem[] {
  const mapType = node['x-kubernetes-map-type'];
  if (mapType === undefined) return [];
  const problems: FieldProblem[] = [];
  if (!node.type) problems.push(required(`${path}.type`, 'must be object if x-kubernetes-map-type is specified'));
  else if (node.type !== 'object') problems.push(invalidValue(`${path}.type`, node.type, 'must be object if x-kubernetes-map-type is specified'));
  if (mapType !== 'atomic' && mapType !== 'granular') problems.push(notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']));
  return problems;
}
