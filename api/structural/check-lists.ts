// check-lists.ts: what x-kubernetes-list-type and x-kubernetes-list-map-keys ask of a node.

import { forbiddenField, invalidValue, notSupported, required, type FieldProblem } from '../errors.js';
import type { StructuralNode } from './node.js';

const listTypes = ['atomic', 'set', 'map'];

export function listProblems(node: StructuralNode, path: string): FieldProblem[] {
  const { type, items } = node;
  const listType = node['x-kubernetes-list-type'];
  const keys = node['x-kubernetes-list-map-keys'] ?? [];
  const problems: FieldProblem[] = [];
  const typePath = `${path}.x-kubernetes-list-type`;
  if (listType !== undefined && type !== 'array') {
    const help = 'must be array if x-kubernetes-list-type is specified';
    problems.push(type ? invalidValue(`${path}.type`, type, help) : required(`${path}.type`, help));
  } else if (listType === 'set' && items) {
    problems.push(...setProblems(items, path));
  }
  if (listType !== undefined && !listTypes.includes(listType)) problems.push(notSupported(typePath, listType, listTypes));
  if (keys.length > 0 && listType !== 'map') {
    const help = 'must be map if x-kubernetes-list-map-keys is non-empty';
    problems.push(listType === undefined ? required(typePath, help) : invalidValue(typePath, listType, help));
  }
  if (listType === 'map') problems.push(...mapProblems(items, keys, path));
  if ((listType === 'set' || listType === 'map') && items?.nullable) problems.push(forbiddenField(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`));
  return problems;
}

/** Items of a set are compared as a whole. */
function setProblems(items: StructuralNode, path: string): FieldProblem[] {
  const help = 'must be atomic as item of a list with x-kubernetes-list-type=set';
  const listType = items['x-kubernetes-list-type'];
  const mapType = items['x-kubernetes-map-type'];
  if (items.type === 'array' && listType !== undefined && listType !== 'atomic') return [invalidValue(`${path}.items.x-kubernetes-list-type`, listType, help)];
  return items.type === 'object' && mapType !== 'atomic' ? [invalidValue(`${path}.items.x-kubernetes-map-type`, mapType ?? null, help)] : [];
}

function mapProblems(items: StructuralNode | undefined, keys: readonly string[], path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const keysPath = `${path}.x-kubernetes-list-map-keys`;
  if (keys.length === 0) problems.push(required(keysPath, 'must not be empty if x-kubernetes-list-type is map'));
  if (!items) return [...problems, required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map')];
  if (items.type !== 'object') return [...problems, invalidValue(`${path}.items.type`, items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map")];
  if (new Set(keys).size < keys.length) problems.push(invalidValue(keysPath, keys, 'must not contain duplicate entries'));
  for (const key of new Set(keys)) problems.push(...keyProblems(items, keys, key, path));
  return problems;
}

function keyProblems(items: StructuralNode, keys: readonly string[], key: string, path: string): FieldProblem[] {
  const field = items.properties && Object.hasOwn(items.properties, key) ? items.properties[key] : undefined;
  if (!field) return [invalidValue(`${path}.x-kubernetes-list-map-keys`, keys, 'entries must all be names of item properties')];
  const problems: FieldProblem[] = [];
  const at = `${path}.items.properties[${key}]`;
  if (field.type === 'array' || field.type === 'object') problems.push(invalidValue(`${at}.type`, field.type, "must be a scalar type if parent array's x-kubernetes-list-type is map"));
  if (field.default === undefined && !items.required?.includes(key)) {
    problems.push(required(`${at}.default`, 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'));
  }
  if (field.nullable) problems.push(forbiddenField(`${at}.nullable`, 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'));
  return problems;
}
