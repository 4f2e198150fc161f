// check-structure.ts
//
// The structure of a schema: every field and item has a type, and what stands in allOf, anyOf, oneOf and not only narrows down
// values of fields that the structure has.

import { forbiddenField, invalidValue, required, type FieldProblem } from '../errors.js';
import { keyPath } from './json.js';
import { typeAndObjectMeta, type StructuralNode } from './node.js';
import { patternProblem } from './pattern.js';

type Level = 'root' | 'items' | 'field';

/** In the order of their texts, as Kubernetes tells them. */
export function structureProblems(root: StructuralNode, path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const add = (problem: FieldProblem): void => void problems.push(problem);
  structure(root, 'root', path, add);
  completeness(root, root, path, path, add);
  const text = ({ field, message }: FieldProblem): string => `${field}: ${message}`;
  return problems.sort((a, b) => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0));
}

type Add = (problem: FieldProblem) => void;

function structure(node: StructuralNode, level: Level, path: string, add: Add): void {
  const { items, properties = {}, additionalProperties } = node;
  if (node.type === 'array' && !items) add(required(`${path}.items`, 'must be specified'));
  if (items) structure(items, 'items', `${path}.items`, add);
  for (const [key, child] of Object.entries(properties)) structure(child, 'field', keyPath(`${path}.properties`, key), add);
  if (additionalProperties !== undefined) {
    if (level === 'root') add(forbiddenField(`${path}.additionalProperties`, 'must not be used at the root'));
    if (typeof additionalProperties === 'object') structure(additionalProperties, 'field', `${path}.additionalProperties`, add);
  }
  extensions(node, path, add);
  typeHere(node, level, path, add);
  embedded(node, path, add);
  const isObject = level === 'root' || node['x-kubernetes-embedded-resource'] === true;
  if (isObject) objectFields(properties, level, path, add);
  values(node, path, add, skippedChoice(node));
}

function extensions(node: StructuralNode, path: string, add: Add): void {
  if (!node['x-kubernetes-int-or-string']) return;
  for (const extension of ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'] as const) {
    if (node[extension]) add(invalidValue(`${path}.${extension}`, true, 'must be false if x-kubernetes-int-or-string is true'));
  }
}

const emptyTypeHelp: Record<Level, string> = {
  root: 'must not be empty at the root',
  items: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
};

function typeHere(node: StructuralNode, level: Level, path: string, add: Add): void {
  const at = `${path}.type`;
  if (node['x-kubernetes-embedded-resource'] && node.type !== 'object') {
    const help = 'must be object if x-kubernetes-embedded-resource is true';
    add(node.type ? invalidValue(at, node.type, help) : required(at, help));
  } else if (!node.type && !node['x-kubernetes-int-or-string'] && !node['x-kubernetes-preserve-unknown-fields']) {
    add(required(at, emptyTypeHelp[level]));
  }
  if (level === 'root' && node.type && node.type !== 'object') add(invalidValue(at, node.type, 'must be object at the root'));
}

function embedded(node: StructuralNode, path: string, add: Add): void {
  if (!node['x-kubernetes-embedded-resource']) return;
  if (node.additionalProperties !== undefined) add(forbiddenField(`${path}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set'));
  if (!node['x-kubernetes-preserve-unknown-fields'] && Object.keys(node.properties ?? {}).length === 0) {
    add(required(`${path}.properties`, 'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'));
  }
}

/** apiVersion, kind and metadata of an object. */
function objectFields(properties: Record<string, StructuralNode>, level: Level, path: string, add: Add): void {
  for (const key of typeAndObjectMeta) {
    const field = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (!field) continue;
    const at = keyPath(`${path}.properties`, key);
    const type = key === 'metadata' ? 'object' : 'string';
    if (field.type !== type) add(invalidValue(`${at}.type`, field.type ?? '', `must be ${type}`));
    if (key === 'metadata' && level === 'root' && !restrictsNamesOnly(field)) {
      add(forbiddenField(at, 'must not specify anything other than name and generateName, but metadata is implicitly specified'));
    }
  }
}

function restrictsNamesOnly(metadata: StructuralNode): boolean {
  const others = Object.keys(metadata).filter((keyword) => !['type', 'properties', 'default'].includes(keyword));
  return others.length === 0 && Object.keys(metadata.properties ?? {}).every((key) => key === 'name' || key === 'generateName');
}

const isIntOrString = (choices: readonly StructuralNode[] | undefined): boolean => JSON.stringify(choices) === '[{"type":"integer"},{"type":"string"}]';

/** An int-or-string may say so once more, in anyOf or in the anyOf of its first allOf. */
function skippedChoice(node: StructuralNode): 'anyOf' | 'allOf' | undefined {
  if (isIntOrString(node.anyOf)) return 'anyOf';
  return isIntOrString(node.allOf?.[0]?.anyOf) ? 'allOf' : undefined;
}

/** What narrows values down. `skip`: its types are those of int-or-string. */
function values(node: StructuralNode, path: string, add: Add, skip?: 'anyOf' | 'allOf'): void {
  if (skip !== 'anyOf') for (const [index, part] of (node.anyOf ?? []).entries()) nested(part, keyPath(`${path}.anyOf`, index), add);
  for (const [index, part] of (node.allOf ?? []).entries()) nested(part, keyPath(`${path}.allOf`, index), add, skip === 'allOf' && index === 0 ? 'anyOf' : undefined);
  for (const [index, part] of (node.oneOf ?? []).entries()) nested(part, keyPath(`${path}.oneOf`, index), add);
  if (node.not) nested(node.not, `${path}.not`, add);
  const problem = node.pattern ? patternProblem(node.pattern) : undefined;
  if (problem) add(invalidValue(`${path}.pattern`, node.pattern, `must be a valid regular expression, but isn't: ${problem}`));
}

const mustBeAbsent: readonly [keyword: string, help: string][] = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['externalDocs', 'must be undefined to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
];

function nested(node: StructuralNode, path: string, add: Add, skip?: 'anyOf'): void {
  values(node, path, add, skip);
  if (node.items) nested(node.items, `${path}.items`, add);
  for (const [key, child] of Object.entries(node.properties ?? {})) nested(child, keyPath(`${path}.properties`, key), add);
  for (const [keyword, help] of mustBeAbsent) if (isSet(node[keyword], keyword)) add(forbiddenField(`${path}.${keyword}`, help));
  if (node.properties && Object.hasOwn(node.properties, 'metadata')) add(forbiddenField(keyPath(`${path}.properties`, 'metadata'), 'must not be specified in a nested context'));
}

function isSet(value: unknown, keyword: string): boolean {
  if (value === undefined || value === '') return false;
  if (Array.isArray(value)) return value.length > 0;
  return value !== false || keyword === 'additionalProperties' || keyword === 'default';
}

/** Every field and item that a choice at the root speaks of must be one that the structure has. Kubernetes does not look at choices further down. */
function completeness(part: StructuralNode, node: StructuralNode, nodePath: string, partPath: string, add: Add): void {
  const look = (choice: StructuralNode, at: string): void => nestedCompleteness(choice, node, nodePath, at, add);
  if (part.not) look(part.not, `${partPath}.not`);
  for (const junctor of ['allOf', 'anyOf', 'oneOf'] as const) for (const [index, choice] of (part[junctor] ?? []).entries()) look(choice, keyPath(`${partPath}.${junctor}`, index));
}

function nestedCompleteness(choice: StructuralNode, node: StructuralNode, nodePath: string, at: string, add: Add): void {
  completeness(choice, node, nodePath, at, add);
  const step = (below: StructuralNode, has: StructuralNode | undefined, hasPath: string, belowPath: string): void => {
    if (has) nestedCompleteness(below, has, hasPath, belowPath, add);
    else add(required(hasPath, `because it is defined in ${belowPath}`));
  };
  if (choice.items) step(choice.items, node.items, `${nodePath}.items`, `${at}.items`);
  for (const [key, child] of Object.entries(choice.properties ?? {})) {
    const field = node.properties && Object.hasOwn(node.properties, key) ? node.properties[key] : undefined;
    step(child, field, keyPath(`${nodePath}.properties`, key), keyPath(`${at}.properties`, key));
  }
}
