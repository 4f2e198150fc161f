// check.ts
//
// Whether a schema is structural: one whose types, fields and defaults can be read off it without trying values, so that
// objects can be pruned, defaulted and published. Every reason why it is not, in the words of Kubernetes.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema

import { problemsShownMax, required, type FieldProblem } from '../errors.js';
import { defaultProblems } from './check-defaults.js';
import { keywordProblems, openApiProblems } from './check-keywords.js';
import { ruleCheckProblems } from './check-rules.js';
import { structureProblems } from './check-structure.js';
import { nodeOf } from './node.js';

/**
 * @param openAPIV3Schema any JSON
 * @param path of it: `spec.versions[0].schema.openAPIV3Schema`
 */
export function checkStructural(openAPIV3Schema: unknown, path: string): FieldProblem[] {
  if (openAPIV3Schema === undefined || openAPIV3Schema === null) return [required(path, 'schemas are required')];
  const ofShape = keywordProblems(openAPIV3Schema, path);
  if (ofShape.length > 0) return once(ofShape);
  const root = nodeOf(openAPIV3Schema);
  const ofStructure = structureProblems(root, path);
  const problems = [...ofStructure, ...(ofStructure.length === 0 ? defaultProblems(root, path) : []), ...openApiProblems(root, path)];
  // A rule cannot be understood while the types that it speaks of are in doubt.
  return once(problems.length > 0 ? problems : ruleCheckProblems(root, path));
}

function once(problems: readonly FieldProblem[]): FieldProblem[] {
  const byText = new Map(problems.map((problem) => [`${problem.field}: ${problem.message}`, problem]));
  return [...byText.values()].slice(0, problemsShownMax + 1);
}
