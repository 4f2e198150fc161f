// node.ts
//
// A schema as its author wrote it is any JSON. Everything but the check of it works on a node instead, which has only
// keywords that Kubernetes knows, each of the type it must have: the rest of it is left out, so that nothing can trip.
// https://github.com/kubernetes/api (apiextensions/v1, JSONSchemaProps)

import type { SchemaNode } from '../schema.js';
import { isMapping } from './json.js';

export interface ValidationRule {
  rule: string;
  message?: string;
  messageExpression?: string;
  reason?: string;
  fieldPath?: string;
  optionalOldSelf?: boolean;
}

export interface StructuralNode extends SchemaNode {
  title?: string;
  nullable?: boolean;
  pattern?: string;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  properties?: Record<string, StructuralNode>;
  items?: StructuralNode;
  additionalProperties?: StructuralNode | boolean;
  allOf?: readonly StructuralNode[];
  anyOf?: readonly StructuralNode[];
  oneOf?: readonly StructuralNode[];
  not?: StructuralNode;
  'x-kubernetes-embedded-resource'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: readonly string[];
  'x-kubernetes-map-type'?: string;
  'x-kubernetes-validations'?: readonly ValidationRule[];
}

/** What a keyword holds. */
export type KeywordType = 'string' | 'number' | 'count' | 'boolean' | 'strings' | 'any' | 'list' | 'mapping' | 'schema' | 'schemas' | 'schemaMap' | 'schemaOrBoolean' | 'rules';

export const keywords: ReadonlyMap<string, KeywordType> = new Map<string, KeywordType>([
  ['type', 'string'],
  ['title', 'string'],
  ['description', 'string'],
  ['format', 'string'],
  ['pattern', 'string'],
  ['nullable', 'boolean'],
  ['default', 'any'],
  ['example', 'any'],
  ['enum', 'list'],
  ['externalDocs', 'mapping'],
  ['minimum', 'number'],
  ['maximum', 'number'],
  ['exclusiveMinimum', 'boolean'],
  ['exclusiveMaximum', 'boolean'],
  ['multipleOf', 'number'],
  ['minLength', 'count'],
  ['maxLength', 'count'],
  ['minItems', 'count'],
  ['maxItems', 'count'],
  ['minProperties', 'count'],
  ['maxProperties', 'count'],
  ['uniqueItems', 'boolean'],
  ['required', 'strings'],
  ['properties', 'schemaMap'],
  ['additionalProperties', 'schemaOrBoolean'],
  ['items', 'schema'],
  ['allOf', 'schemas'],
  ['anyOf', 'schemas'],
  ['oneOf', 'schemas'],
  ['not', 'schema'],
  ['x-kubernetes-preserve-unknown-fields', 'boolean'],
  ['x-kubernetes-embedded-resource', 'boolean'],
  ['x-kubernetes-int-or-string', 'boolean'],
  ['x-kubernetes-list-type', 'string'],
  ['x-kubernetes-list-map-keys', 'strings'],
  ['x-kubernetes-map-type', 'string'],
  ['x-kubernetes-validations', 'rules'],
]);

/** Schemas nest at most so deep: an object that carries one does not nest deeper, and the stack holds far more. */
export const schemaDepthMax = 100;

/** The node of any JSON. */
export function nodeOf(schema: unknown, depth = 0): StructuralNode {
  const node: Record<string, unknown> = {};
  if (!isMapping(schema) || depth > schemaDepthMax) return node;
  for (const [keyword, type] of keywords) {
    if (!Object.hasOwn(schema, keyword)) continue;
    const value = keywordValue(type, schema[keyword], depth + 1);
    if (value !== undefined) node[keyword] = value;
  }
  return node;
}

function keywordValue(type: KeywordType, value: unknown, depth: number): unknown {
  switch (type) {
    case 'any':
      // An absent default and one of null are the same to Kubernetes.
      return value === null ? undefined : value;
    case 'list':
      return Array.isArray(value) ? value : undefined;
    case 'strings':
      return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined;
    case 'mapping':
      return isMapping(value) ? value : undefined;
    case 'count':
    case 'number':
      return typeof value === 'number' ? value : undefined;
    case 'schema':
      return isMapping(value) ? nodeOf(value, depth) : undefined;
    case 'schemas':
      return Array.isArray(value) ? value.map((item) => nodeOf(item, depth)) : undefined;
    case 'schemaMap':
      // A property of this name would become the prototype of the objects that get its default.
      return isMapping(value) ? Object.fromEntries(Object.entries(value).filter(([key]) => key !== '__proto__').map(([key, child]) => [key, nodeOf(child, depth)])) : undefined;
    case 'schemaOrBoolean':
      return typeof value === 'boolean' ? value : keywordValue('schema', value, depth);
    case 'rules':
      return Array.isArray(value) ? value.filter(isMapping).map(ruleOf) : undefined;
    default:
      return typeof value === type ? value : undefined;
  }
}

function ruleOf(value: Record<string, unknown>): ValidationRule {
  const rule: ValidationRule = { rule: typeof value['rule'] === 'string' ? value['rule'] : '' };
  for (const key of ['message', 'messageExpression', 'reason', 'fieldPath'] as const) {
    const text = value[key];
    if (typeof text === 'string') rule[key] = text;
  }
  if (typeof value['optionalOldSelf'] === 'boolean') rule.optionalOldSelf = value['optionalOldSelf'];
  return rule;
}

/** The node of `key` below an object node: of its field, else of any key; undefined when it has none. */
export function fieldNode(node: StructuralNode | undefined, key: string): StructuralNode | undefined {
  if (node?.properties && Object.hasOwn(node.properties, key)) return node.properties[key];
  return restNode(node);
}

/** The node of the keys of a mapping that have none of their own. */
export function restNode(node: StructuralNode | undefined): StructuralNode | undefined {
  return typeof node?.additionalProperties === 'object' ? node.additionalProperties : undefined;
}

/** Whether a node below is such a one. Choices have no part in it: they only narrow values down. */
export function someNode(node: StructuralNode, test: (node: StructuralNode) => boolean): boolean {
  const children = [node.items, restNode(node), ...Object.values(node.properties ?? {})];
  return children.some((child) => child !== undefined && (test(child) || someNode(child, test)));
}

/** The fields of an object that no schema may say much about. */
export const typeAndObjectMeta: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);
