// values.ts
//
// Whether a value has the shape that a node asks for, in the words of Kubernetes: `spec.replicas in body should be less than or
// equal to 10`. Interpreted, not compiled: what a user writes never becomes code. Looks at schemas of any JSON, and
// visits each part of the value once per schema that speaks of it.
// https://github.com/kubernetes/kube-openapi (pkg/validation)

import { invalidValue, notSupported, problemsShownMax, required, type FieldProblem } from '../errors.js';
import { runWithin } from '../../lib/time-limit.js';
import { formatCheck } from './formats.js';
import { canonical, childPath, isMapping, keyPath, rootPath, type Mapping } from './json.js';
import type { StructuralNode } from './node.js';
import { forgetPatterns, matchesPattern, stepsOf } from './pattern.js';

/**
 * What a value may cost before it is looked at anew under the clock: a schema of ten thousand choices for a list of as many would take
 * minutes, and so would a pattern that counts far. A step of a pattern is one, a look at a part of the value by one schema several.
 */
const stepsMax = 1_000_000;
const stepsOfLook = 4;
/** Characters that are read, or keys that are passed over, in one step. */
const readPerStep = 16;
/** Milliseconds. */
const timeMax = 1_000;

interface Search {
  problems: FieldProblem[];
  /** Shared by the choices of one schema. */
  steps: { left: number };
}

class TooManySteps extends Error {
  override readonly name = 'TooManySteps';
}

/** Everything that `value` has wrong, as far as anybody reads it. `path` is that of the value. */
export function valueProblems(node: StructuralNode, value: unknown, path = rootPath): FieldProblem[] {
  try {
    return problemsOf(node, value, path, { left: stepsMax });
  } catch (error) {
    if (!(error instanceof TooManySteps)) throw error;
  }
  const found = runWithin(timeMax, () => problemsOf(node, value, path, { left: Infinity }));
  if (found) return found.result;
  forgetPatterns();
  return [invalidValue(path, '', `takes longer than ${timeMax} ms to validate: for a value of this size the schema has too many choices (anyOf, oneOf, allOf, not), or its patterns count too far`)];
}

/** @throws TooManySteps */
function problemsOf(node: StructuralNode, value: unknown, path: string, steps: Search['steps']): FieldProblem[] {
  const problems: FieldProblem[] = [];
  look(node, value, path, { problems, steps });
  return problems;
}

function spend(steps: Search['steps'], count: number): void {
  steps.left -= count;
  if (steps.left < 0) throw new TooManySteps();
}

function look(node: StructuralNode, value: unknown, path: string, search: Search): void {
  const { problems, steps } = search;
  if (problems.length > problemsShownMax) return;
  spend(steps, stepsOfLook);
  if (value === null && node.nullable) return;
  const wrongType = typeProblem(node, value, path);
  if (wrongType) {
    problems.push(wrongType);
    return;
  }
  lookAtChoices(node, value, path, search);
  if (typeof value === 'string') lookAtText(node, value, path, search);
  else if (typeof value === 'number') lookAtNumber(node, value, path, problems);
  if (node.enum && node.enum.length > 0) lookAtEnum(node.enum, value, path, search);
  if (Array.isArray(value)) lookAtList(node, value, path, search);
  else if (isMapping(value)) lookAtMapping(node, value, path, search);
}

/** The name of a value's type, as Kubernetes' messages have it. */
export function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

const int64Max = 2 ** 63;

export function isInteger(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(value as number) <= int64Max;
}

function typeProblem(node: StructuralNode, value: unknown, path: string): FieldProblem | undefined {
  const type = typeOf(value);
  if (node['x-kubernetes-int-or-string']) return type === 'integer' || type === 'string' ? undefined : wrongType(path, 'integer,string', type);
  if (!node.type || node.type === type || (node.type === 'number' && type === 'integer')) return undefined;
  return wrongType(path, node.type, type);
}

function wrongType(path: string, expected: string, type: string): FieldProblem {
  return { ...inBody(path, type, `must be of type ${expected}: ${JSON.stringify(type)}`), reason: 'FieldValueTypeInvalid' };
}

function inBody(path: string, value: unknown, rule: string): FieldProblem {
  return invalidValue(path, value, `${path === rootPath ? '' : path} in body ${rule}`);
}

function lookAtText(node: StructuralNode, text: string, path: string, { problems, steps }: Search): void {
  const { minLength, maxLength, pattern, format } = node;
  if (minLength !== undefined || maxLength !== undefined || format !== undefined) spend(steps, text.length / readPerStep);
  if (maxLength !== undefined && text.length > maxLength && lengthOf(text) > maxLength) {
    problems.push({ field: path, reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxLength} bytes` });
  }
  if (minLength !== undefined && lengthOf(text) < minLength) problems.push(inBody(path, text, `should be at least ${minLength} chars long`));
  if (pattern) {
    spend(steps, stepsOf(pattern, text));
    if (!matchesPattern(pattern, text)) problems.push(inBody(path, text, `should match '${pattern}'`));
  }
  if (format && (node.type === 'string' || !node.type) && formatCheck(format)?.(text) === false) {
    problems.push({ ...inBody(path, text, `must be of type ${format}: ${JSON.stringify(text)}`), reason: 'FieldValueTypeInvalid' });
  }
}

/** Characters, not UTF-16 units. */
function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

function lookAtNumber(node: StructuralNode, value: number, path: string, problems: FieldProblem[]): void {
  const { minimum, maximum, multipleOf } = node;
  if (maximum !== undefined && (node.exclusiveMaximum ? value >= maximum : value > maximum)) {
    problems.push(inBody(path, value, `should be less than ${node.exclusiveMaximum ? '' : 'or equal to '}${maximum}`));
  }
  if (minimum !== undefined && (node.exclusiveMinimum ? value <= minimum : value < minimum)) {
    problems.push(inBody(path, value, `should be greater than ${node.exclusiveMinimum ? '' : 'or equal to '}${minimum}`));
  }
  if (multipleOf !== undefined && multipleOf > 0 && !isMultiple(value, multipleOf)) problems.push(inBody(path, value, `should be a multiple of ${multipleOf}`));
}

function isMultiple(value: number, factor: number): boolean {
  const quotient = value / factor;
  return Number.isInteger(quotient) || Math.abs(quotient - Math.round(quotient)) < 1e-9 * Math.max(1, Math.abs(quotient)) * Number(!Number.isInteger(value) || !Number.isInteger(factor));
}

/** Their texts, by the list of them: looked through for each of many values it would take minutes. */
const choiceTexts = new WeakMap<readonly unknown[], ReadonlySet<string>>();

function lookAtEnum(choices: readonly unknown[], value: unknown, path: string, { problems, steps }: Search): void {
  let texts = choiceTexts.get(choices);
  if (!texts) choiceTexts.set(choices, (texts = new Set(choices.map(canonical))));
  if (texts.has(readText(value, steps))) return;
  spend(steps, choices.length);
  problems.push(notSupported(path, value, choices.map((choice) => (typeof choice === 'string' ? choice : JSON.stringify(choice)))));
}

function readText(value: unknown, steps: Search['steps']): string {
  const text = canonical(value);
  spend(steps, text.length / readPerStep);
  return text;
}

function lookAtList(node: StructuralNode, list: readonly unknown[], path: string, search: Search): void {
  const { problems, steps } = search;
  const { minItems, maxItems, items } = node;
  if (minItems !== undefined && list.length < minItems) problems.push(inBody(path, list.length, `should have at least ${minItems} items`));
  if (maxItems !== undefined && list.length > maxItems) problems.push(tooMany(path, list.length, maxItems));
  if (node.uniqueItems && new Set(list.map((item) => readText(item, steps))).size < list.length) problems.push(inBody(path, list, "shouldn't contain duplicates"));
  if (!items) return;
  for (let index = 0; index < list.length && problems.length <= problemsShownMax; index++) look(items, list[index], keyPath(path, index), search);
}

function tooMany(path: string, count: number, max: number): FieldProblem {
  return { field: path, reason: 'FieldValueTooMany', message: `Too many: ${count}: must have at most ${max} items` };
}

function lookAtMapping(node: StructuralNode, value: Mapping, path: string, search: Search): void {
  const { problems, steps } = search;
  const { minProperties, maxProperties, properties, additionalProperties, required: needed = [] } = node;
  const keys = Object.keys(value);
  spend(steps, needed.length + keys.length / readPerStep);
  if (minProperties !== undefined || maxProperties !== undefined) {
    const count = keys.length;
    if (minProperties !== undefined && count < minProperties) problems.push(inBody(path, count, `should have at least ${minProperties} properties`));
    if (maxProperties !== undefined && count > maxProperties) problems.push(tooMany(path, count, maxProperties));
  }
  for (const key of needed) if (!Object.hasOwn(value, key)) problems.push(required(childPath(path, key)));
  for (const key of keys) {
    if (problems.length > problemsShownMax) return;
    if (properties && Object.hasOwn(properties, key)) look(properties[key]!, value[key], childPath(path, key), search);
    else if (typeof additionalProperties === 'object') look(additionalProperties, value[key], childPath(path, key), search);
    else if (additionalProperties === false) problems.push(inBody(childPath(path, key), key, 'is a forbidden property'));
  }
}

/** anyOf, oneOf, allOf, not. What their parts say of the value is told beside the verdict, as far as it helps. */
function lookAtChoices(node: StructuralNode, value: unknown, path: string, { problems, steps }: Search): void {
  const { anyOf, oneOf, allOf, not } = node;
  const say = (verdict: string): void => void problems.push(invalidValue(rootPath, '', `${JSON.stringify(path === rootPath ? '' : path)} must ${verdict}`));
  if (anyOf && anyOf.length > 0 && !isIntOrStringChoice(node)) {
    const { valid, best } = tryAll(anyOf, value, path, steps);
    if (valid === 0) {
      say('validate at least one schema (anyOf)');
      problems.push(...best);
    }
  }
  if (oneOf && oneOf.length > 0) {
    const { valid, best } = tryAll(oneOf, value, path, steps);
    if (valid !== 1) {
      say(`validate one and only one schema (oneOf). ${valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`}`);
      if (valid === 0) problems.push(...best);
    }
  }
  if (allOf && allOf.length > 0) {
    const results = allOf.map((part) => problemsOf(part, value, path, steps));
    const wrong = results.filter((result) => result.length > 0);
    for (const result of wrong) problems.push(...result);
    if (wrong.length > 0) say(`validate all the schemas (allOf)${wrong.length === results.length ? '. None validated' : ''}`);
  }
  if (not && problemsOf(not, value, path, steps).length === 0) say('not validate the schema (not)');
}

/** The type has been looked at already, and its two choices say nothing else. */
function isIntOrStringChoice(node: StructuralNode): boolean {
  return node['x-kubernetes-int-or-string'] === true && node.anyOf!.every((choice) => Object.keys(choice).length === 1 && choice.type !== undefined);
}

/** How many parts take the value, and what the part that comes nearest to it has against it. */
function tryAll(parts: readonly StructuralNode[], value: unknown, path: string, steps: Search['steps']): { valid: number; best: FieldProblem[] } {
  let valid = 0;
  let best: FieldProblem[] | undefined;
  for (const part of parts) {
    const problems = problemsOf(part, value, path, steps);
    if (problems.length === 0) valid++;
    else if (!best || problems.length < best.length) best = problems;
  }
  return { valid, best: best ?? [] };
}
