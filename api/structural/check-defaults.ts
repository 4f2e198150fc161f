// check-defaults.ts: a default is what a user might have written: it has no unknown fields, and is valid.

import { invalidValue, type FieldProblem } from '../errors.js';
import { embeddedProblems, metadataSchema } from './embedded.js';
import { walkUnknown } from './fields.js';
import { keyPath } from './json.js';
import { listTypeProblems } from './list-types.js';
import type { StructuralNode } from './node.js';
import { valueProblems } from './values.js';

/** For the defaults of a node and below it. Those below additionalProperties are looked at as well. */
export function defaultProblems(node: StructuralNode, path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (node.default !== undefined) problems.push(...oneDefault(node, `${path}.default`));
  const look = (child: StructuralNode | undefined, at: string): void => {
    if (child) for (const problem of defaultProblems(child, at)) problems.push(problem);
  };
  look(node.items, `${path}.items`);
  for (const [key, child] of Object.entries(node.properties ?? {})) look(child, keyPath(`${path}.properties`, key));
  if (typeof node.additionalProperties === 'object') look(node.additionalProperties, `${path}.additionalProperties`);
  return problems;
}

function oneDefault(node: StructuralNode, path: string): FieldProblem[] {
  let unknown = false;
  const inMetadata = (metadata: unknown): void => void (unknown ||= metadataSchema.unknownFields({ metadata }).length > 0);
  walkUnknown(node, node.default, path, () => void (unknown = true), inMetadata);
  return [
    ...(unknown ? [invalidValue(path, node.default, 'must not have unknown fields')] : []),
    ...valueProblems(node, node.default, path),
    ...embeddedProblems(node, node.default, path),
    ...listTypeProblems(node, node.default, path),
  ];
}
