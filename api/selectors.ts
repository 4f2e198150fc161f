// selectors.ts
//
// Label and field selectors as they travel in query strings.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors

import { badRequest } from './errors.js';
import { labelValueProblem, qualifiedNameProblem } from './names.js';

export interface LabelRequirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  values: readonly string[];
}

export interface FieldRequirement {
  field: string;
  equal: boolean;
  value: string;
}

export type Labels = Readonly<Record<string, string>>;

/** @throws ApiError BadRequest naming what cannot be read */
export function parseLabelSelector(text: string): LabelRequirement[] {
  return splitRequirements(text).map(parseLabelRequirement);
}

export function matchesLabels(requirements: readonly LabelRequirement[], labels: Labels | undefined): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = labels && Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      case 'Gt':
      case 'Lt': {
        const number = wholeNumber(value);
        const bound = wholeNumber(values[0]);
        return number !== undefined && bound !== undefined && (operator === 'Gt' ? number > bound : number < bound);
      }
    }
  });
}

/**
 * Commas, equal signs and backslashes inside a value are escaped with a backslash; empty parts say nothing.
 * @throws ApiError BadRequest naming what cannot be read
 */
export function parseFieldSelector(text: string): FieldRequirement[] {
  return splitTerms(text).flatMap((part) => (part.trim() === '' ? [] : [parseFieldRequirement(part)]));
}

function parseFieldRequirement(part: string): FieldRequirement {
  const match = /^([^=!\\]+)(==|!=|=)(.*)$/s.exec(part.trimStart());
  if (!match) throw unreadableField(part, 'expected FIELD=VALUE, FIELD==VALUE or FIELD!=VALUE');
  return { field: match[1]!.trim(), equal: match[2] !== '!=', value: unescaped(match[3]!, part) };
}

function unescaped(text: string, part: string): string {
  let value = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === '=' || char === ',') throw unreadableField(part, `a ${char} in a value is written \\${char}`);
    if (char !== '\\') {
      value += char;
      continue;
    }
    const next = text[++at];
    if (next === undefined || !'\\,='.includes(next)) throw unreadableField(part, 'a backslash in a value is written \\\\');
    value += next;
  }
  return value;
}

function unreadableField(part: string, help: string): Error {
  return badRequest(`unable to parse the field selector ${JSON.stringify(part)}: ${help}`);
}

/** The parts between commas that no backslash escapes. */
function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === ',') {
      terms.push(text.slice(start, at));
      start = at + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

/** A missing field equals the empty string, as Kubernetes has it. */
export function matchesFields(requirements: readonly FieldRequirement[], valueOf: (field: string) => string): boolean {
  return requirements.every(({ field, equal, value }) => (valueOf(field) === value) === equal);
}

/** The value that the selector fixes `field` to, if it does. */
export function fixedField(requirements: readonly FieldRequirement[], field: string): string | undefined {
  return requirements.find((requirement) => requirement.equal && requirement.field === field)?.value;
}

/** Of any length: labels may hold 63 digits. */
function wholeNumber(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[+-]?[0-9]+$/.test(text) ? BigInt(text.replace('+', '')) : undefined;
}

/** Commas separate requirements, except inside the parentheses of a value set. */
function splitRequirements(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const char = text[i];
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === undefined || (char === ',' && depth === 0)) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  return parts.length === 1 && parts[0] === '' ? [] : parts;
}

function parseLabelRequirement(text: string): LabelRequirement {
  const set = /^(\S+)\s+(in|notin)\s*\((.*)\)$/s.exec(text);
  if (set) {
    const values = set[3]!.split(',').map((value) => value.trim());
    return checked(text, { key: set[1]!, operator: set[2] === 'in' ? 'In' : 'NotIn', values });
  }
  const comparison = /^([^\s=!<>]+)\s*([<>])\s*(\S+)$/.exec(text);
  if (comparison) {
    if (wholeNumber(comparison[3]) === undefined) throw badRequest(`unable to parse the label selector ${JSON.stringify(text)}: a whole number must follow ${comparison[2]!}`);
    return checked(text, { key: comparison[1]!, operator: comparison[2] === '>' ? 'Gt' : 'Lt', values: [comparison[3]!] }, false);
  }
  const equality = /^([^\s=!]+)\s*(==|!=|=)\s*(\S*)$/.exec(text);
  if (equality) return checked(text, { key: equality[1]!, operator: equality[2] === '!=' ? 'NotIn' : 'In', values: [equality[3]!] });
  const existence = /^(!?)\s*([^\s=!()]+)$/.exec(text);
  if (existence) return checked(text, { key: existence[2]!, operator: existence[1] ? 'DoesNotExist' : 'Exists', values: [] });
  throw badRequest(`unable to parse the label selector ${JSON.stringify(text)}: expected KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY>N or KEY<N`);
}

function checked(text: string, requirement: LabelRequirement, areLabels = true): LabelRequirement {
  const keyProblem = qualifiedNameProblem(requirement.key);
  if (keyProblem) throw badRequest(`unable to parse the label selector ${JSON.stringify(text)}: key ${JSON.stringify(requirement.key)}: ${keyProblem}`);
  for (const value of areLabels ? requirement.values : []) {
    const problem = labelValueProblem(value);
    if (problem) throw badRequest(`unable to parse the label selector ${JSON.stringify(text)}: value ${JSON.stringify(value)}: ${problem}`);
  }
  return requirement;
}
