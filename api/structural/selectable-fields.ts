// selectable-fields.ts: fields of a user's kind that a field selector may name, and paths of fields as such.

import { duplicate, invalidValue, required, type FieldProblem } from '../errors.js';
import type { KubeObject } from '../meta.js';
import { isMapping } from './json.js';
import { nodeOf, restNode, type StructuralNode } from './node.js';

const fieldsMax = 8;

/** One step of a path of fields: a field of an object, or a key of a mapping. */
export interface FieldStep {
  name: string;
  isKey: boolean;
}

/**
 * The steps of `.spec.color` or `.labels['app']` and the node that they lead to, or why there are none.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-path
 */
export function fieldSteps(path: string, node: StructuralNode): { steps: FieldStep[]; node: StructuralNode } | { problem: string } {
  const steps: FieldStep[] = [];
  let at: StructuralNode | undefined = node;
  const pattern = /\.([^.[\]]+)|\['((?:\\.|[^'\\])*)'\]/gsy;
  let end = 0;
  for (const match of path.matchAll(pattern)) {
    end = match.index + match[0].length;
    const name: string = match[1] ?? match[2]!.replace(/\\(.)/gs, '$1');
    const field: StructuralNode | undefined = at?.properties && Object.hasOwn(at.properties, name) ? at.properties[name] : undefined;
    const rest = restNode(at);
    if (!field && (!rest || at?.properties)) return { problem: 'does not refer to a valid field' };
    steps.push({ name, isKey: !field });
    at = field ?? rest;
  }
  if (end !== path.length) return { problem: `expected [ or . but got: ${path.slice(end)}` };
  return steps.length > 0 ? { steps, node: at! } : { problem: 'is empty' };
}

/** Why selectableFields are refused. `schema` is the openAPIV3Schema of the version. */
export function selectableProblems(fields: unknown, schema: unknown, path: string): FieldProblem[] {
  if (fields === undefined) return [];
  if (!Array.isArray(fields)) return [invalidValue(path, fields, 'must be a list')];
  const node = nodeOf(schema);
  const known = new Set<string>();
  const problems = fields.flatMap((field, index): FieldProblem[] => {
    const at = `${path}[${index}].jsonPath`;
    const jsonPath: unknown = isMapping(field) ? field['jsonPath'] : undefined;
    if (typeof jsonPath !== 'string' || jsonPath === '') return [required(at)];
    const found = jsonPath.includes('[') ? { problem: 'array notation is not allowed' } : fieldSteps(jsonPath, node);
    if ('problem' in found) return [invalidValue(at, jsonPath, `is an invalid path: ${found.problem}`)];
    const wrong: FieldProblem[] = [];
    if (found.steps[0]!.name === 'metadata') wrong.push(invalidValue(at, jsonPath, 'must not point to fields in metadata'));
    if (!['string', 'boolean', 'integer'].includes(found.node.type ?? '')) {
      wrong.push(invalidValue(at, jsonPath, 'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.'));
    }
    if (known.has(jsonPath)) wrong.push(duplicate(at, jsonPath));
    known.add(jsonPath);
    return wrong;
  });
  if (known.size > fieldsMax) problems.push({ field: path, reason: 'FieldValueTooMany', message: `Too many: ${known.size}: must have at most ${fieldsMax} items` });
  return problems;
}

/** How each field is read, by the name that a selector has for it: `spec.color`. Absent values are ''. */
export function selectableFieldsOf(fields: unknown): Record<string, (object: KubeObject) => string> {
  const readers: Record<string, (object: KubeObject) => string> = {};
  for (const field of Array.isArray(fields) ? (fields as unknown[]) : []) {
    const jsonPath = isMapping(field) ? field['jsonPath'] : undefined;
    if (typeof jsonPath !== 'string' || !/^(\.[^.[\]]+)+$/.test(jsonPath)) continue;
    const keys = jsonPath.slice(1).split('.');
    readers[keys.join('.')] = (object) => {
      let value: unknown = object;
      for (const key of keys) value = isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
      return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
    };
  }
  return readers;
}
