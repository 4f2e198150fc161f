// merge.ts
//
// What `apply` sends, as kubectl's client-side apply has it: the last applied configuration is kept in an annotation,
// and three objects make a JSON merge patch:
//
//   original   what was last applied   ─┐ fields that the author dropped since ─► null
//   modified   what the author wants   ─┤
//   current    what the server has     ─┘ fields that differ from wanted ───────► the wanted value
//
// Fields that only the server or another tool set are in neither difference and stay. The annotation's text is the one
// kubectl would write, so both tools can be used on one object.
// https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#how-apply-calculates-differences-and-merges-changes

import { dequal } from 'dequal';
import type { KubeObject } from '../../api/meta.js';

export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

type Mapping = Record<string, unknown>;

export type ApplyPlan =
  | { action: 'create'; object: KubeObject }
  | { action: 'unchanged' }
  | { action: 'patch'; patch: Mapping };

/**
 * @param wanted the author's object, with its namespace filled in
 * @param current what the server has, if anything
 */
export function planApply(wanted: KubeObject, current: KubeObject | undefined): ApplyPlan {
  const modified = withLastApplied(wanted);
  if (!current) return { action: 'create', object: modified };
  const patch = threeWayPatch(lastApplied(current), modified, current);
  return Object.keys(patch).length === 0 ? { action: 'unchanged' } : { action: 'patch', patch };
}

/** The object with the annotation that holds it. */
export function withLastApplied(wanted: KubeObject): KubeObject {
  const { [lastAppliedAnnotation]: _old, ...annotations } = wanted.metadata.annotations ?? {};
  const plain = { ...wanted, metadata: { ...wanted.metadata, annotations } };
  return { ...plain, metadata: { ...plain.metadata, annotations: { ...annotations, [lastAppliedAnnotation]: `${goJson(plain)}\n` } } };
}

export function threeWayPatch(original: unknown, modified: unknown, current: unknown): Mapping {
  return merged(droppedFields(original, modified), changedFields(current, modified));
}

/** What the annotation of the object says, or undefined when it has none that can be read. */
export function lastApplied(object: KubeObject): unknown {
  const text = object.metadata.annotations?.[lastAppliedAnnotation];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Merge patch with what `to` has and `from` has not, or has otherwise. */
function changedFields(from: unknown, to: unknown): Mapping {
  const patch: Mapping = {};
  if (!isMapping(to)) return patch;
  for (const [key, value] of Object.entries(to)) {
    const old = isMapping(from) && Object.hasOwn(from, key) ? from[key] : undefined;
    if (isMapping(value) && isMapping(old)) {
      const inner = changedFields(old, value);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    } else if (value === null) {
      if (old !== undefined && old !== null) patch[key] = null;
    } else if (isMapping(value) && Object.keys(value).length === 0) {
      // An empty mapping asks for nothing that is not there already; the server may leave it out.
      if (old !== undefined) patch[key] = value;
    } else if (!dequal(old, value)) patch[key] = value;
  }
  return patch;
}

/** Merge patch with a null for each field that `from` has and `to` has not. */
function droppedFields(from: unknown, to: unknown): Mapping {
  const patch: Mapping = {};
  if (!isMapping(from)) return patch;
  for (const [key, old] of Object.entries(from)) {
    if (!isMapping(to) || !Object.hasOwn(to, key)) patch[key] = null;
    else if (isMapping(old) && isMapping(to[key])) {
      const inner = droppedFields(old, to[key]);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    }
  }
  return patch;
}

function merged(under: Mapping, over: Mapping): Mapping {
  const result: Mapping = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const old = result[key];
    result[key] = isMapping(old) && isMapping(value) ? merged(old, value) : value;
  }
  return result;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON as Go's encoding/json writes it: keys sorted, and what HTML cares about escaped. */
function goJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goJson).join(',')}]`;
  if (isMapping(value)) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return `{${entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => `${goJson(key)}:${goJson(inner)}`).join(',')}}`;
  }
  return (JSON.stringify(value) ?? 'null').replaceAll(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
