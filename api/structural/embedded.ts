// embedded.ts: objects inside an object (x-kubernetes-embedded-resource) have apiVersion, kind and metadata as any has.

import { Type } from 'typebox';
import { invalidValue, required, type FieldProblem } from '../errors.js';
import { ObjectMeta } from '../meta.js';
import { ObjectSchema } from '../schema.js';
import { childPath, isMapping, keyPath, rootPath, type Mapping } from './json.js';
import { restNode, type StructuralNode } from './node.js';

/** Takes `{ metadata }`. */
export const metadataSchema = new ObjectSchema(Type.Object({ metadata: ObjectMeta }));

/** Problems of the objects that are embedded in `value`. */
export function embeddedProblems(node: StructuralNode | undefined, value: unknown, path: string): FieldProblem[] {
  if (!node) return [];
  const problems: FieldProblem[] = [];
  const look = (child: StructuralNode | undefined, part: unknown, partPath: string): void => {
    for (const problem of embeddedProblems(child, part, partPath)) problems.push(problem);
  };
  if (Array.isArray(value)) {
    value.forEach((item, index) => look(node.items, item, keyPath(path, index)));
  } else if (isMapping(value)) {
    if (node['x-kubernetes-embedded-resource'] && path !== rootPath) problems.push(...oneEmbedded(value, path));
    for (const key of Object.keys(value)) {
      const isField = node.properties !== undefined && Object.hasOwn(node.properties, key);
      look(isField ? node.properties![key] : restNode(node), value[key], isField ? childPath(path, key) : keyPath(path, key));
    }
  }
  return problems;
}

function oneEmbedded(value: Mapping, path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  for (const key of ['apiVersion', 'kind']) {
    const given = value[key];
    if (given === undefined || given === '') problems.push(required(childPath(path, key), given === '' ? 'must not be empty' : undefined));
    else if (typeof given !== 'string') problems.push(invalidValue(childPath(path, key), given, 'must be a string'));
  }
  if (value['metadata'] === undefined) return problems;
  for (const problem of metadataSchema.problems({ metadata: value['metadata'] })) problems.push({ ...problem, field: `${path}.${problem.field}` });
  return problems;
}
