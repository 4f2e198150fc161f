// validation.ts
//
// Everything that is wrong with one object by itself, all at once. The server refuses such an object; the command line
// says the same before it sends anything.

import { forbiddenField, invalidValue, problemsShownMax, required, type FieldProblem } from './errors.js';
import type { KindDefinition } from './kind.js';
import type { KubeObject, ObjectMeta } from './meta.js';
import { labelProblem, labelsProblems, qualifiedNameProblem } from './names.js';

/** Keys and values of all annotations together, UTF-8 bytes. */
export const annotationBytesMax = 256 * 1024;

/**
 * Fills in the defaults of the schema and those that depend on other fields, in place.
 * @returns what objectProblems takes as `shape`
 */
export function applyDefaults(kind: KindDefinition, object: KubeObject): readonly FieldProblem[] {
  kind.schema.applyDefaults(object);
  return applyOwnDefaults(kind, object);
}

/**
 * Fills in the defaults that depend on other fields, in place, once those of the schema are there.
 * @param old what is stored, when the object is to take its place
 * @returns what objectProblems takes as `shape`
 */
export function applyOwnDefaults(kind: KindDefinition, object: KubeObject, old?: KubeObject): readonly FieldProblem[] {
  const shape = kind.schema.problems(object, old);
  if (shape.length === 0) kind.applyDefaults?.(object);
  return shape;
}

/**
 * Problems of an object that has its defaults. Rules across fields are looked at when every field has its type and the
 * required ones are there: they take what the schema promises.
 * @param old what is stored, when the object is to take its place
 * @param shape what the schema says of the object, where it has been asked already
 */
export function objectProblems(kind: KindDefinition, object: KubeObject, old?: KubeObject, shape: readonly FieldProblem[] = kind.schema.problems(object, old)): FieldProblem[] {
  const problems = allProblems(kind, object, old, shape);
  return kind.kind === 'Secret' ? problems.map(withoutValue) : problems;
}

/** What a Secret holds never appears in an error. */
function withoutValue(problem: FieldProblem): FieldProblem {
  if (!/^(data|stringData)\b/.test(problem.field)) return problem;
  return { ...problem, message: problem.message.replace(/^(\w+ value): .*: (?=\S)/s, '$1: (hidden): ') };
}

function allProblems(kind: KindDefinition, object: KubeObject, old: KubeObject | undefined, shape: readonly FieldProblem[]): FieldProblem[] {
  const metadataIsWhole = !shape.some(({ field }) => field === '' || field.startsWith('metadata'));
  // Of more than are shown, one of those left out may be a wrong type.
  const typesAreRight = shape.length <= problemsShownMax && !shape.some(({ reason }) => reason === 'FieldValueTypeInvalid' || reason === 'FieldValueRequired');
  const problems = [...(metadataIsWhole ? metadataProblems(kind, object.metadata) : []), ...shape];
  if (!metadataIsWhole || !typesAreRight) return problems;
  const told = new Set(shape.map(({ field }) => field));
  return [...problems, ...(kind.validate?.(object, old) ?? []).filter(({ field }) => !told.has(field))];
}

export function metadataProblems(kind: KindDefinition, metadata: ObjectMeta): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { name, generateName, namespace } = metadata;
  if (generateName) {
    // What the server appends ends in a letter or digit; a prefix is judged with one.
    const problem = kind.nameProblem(`${generateName}x`);
    if (problem) problems.push(invalidValue('metadata.generateName', generateName, problem));
  }
  if (name) {
    const problem = kind.nameProblem(name);
    if (problem) problems.push(invalidValue('metadata.name', name, problem));
  } else if (!generateName) {
    problems.push(required('metadata.name', 'name or generateName is required'));
  }
  if (kind.namespaced) {
    const problem = namespace ? labelProblem(namespace) : undefined;
    if (problem) problems.push(invalidValue('metadata.namespace', namespace, problem));
  } else if (namespace) {
    problems.push(forbiddenField('metadata.namespace', 'not allowed on this type'));
  }
  // Not as arguments of a call, which the stack holds: there may be a hundred thousand.
  for (const problem of labelsProblems(metadata.labels, 'metadata.labels')) problems.push(problem);
  for (const problem of annotationProblems(metadata.annotations)) problems.push(problem);
  (metadata.finalizers ?? []).forEach((finalizer, index) => {
    const problem = qualifiedNameProblem(finalizer);
    if (problem) problems.push(invalidValue(`metadata.finalizers[${index}]`, finalizer, problem));
  });
  return problems;
}

function annotationProblems(annotations: Record<string, string> | undefined): FieldProblem[] {
  const problems: FieldProblem[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    // Kubernetes takes upper case in the prefix of an annotation key.
    const problem = qualifiedNameProblem(key.toLowerCase());
    if (problem) problems.push(invalidValue('metadata.annotations', key, problem));
  }
  if (bytes > annotationBytesMax) {
    problems.push({ field: 'metadata.annotations', reason: 'FieldValueTooLong', message: `Too long: may not be more than ${annotationBytesMax} bytes` });
  }
  return problems;
}
