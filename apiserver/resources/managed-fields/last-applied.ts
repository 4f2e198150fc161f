// last-applied.ts
//
// The way from client-side apply to server-side apply, for kubectl alone: what its annotation says was applied counts as its own
// to change, and the annotation is kept right for the way back.

import { apiVersionOf, type KindDefinition } from '../../../api/kind.js';
import type { KubeObject } from '../../../api/meta.js';
import { annotationBytesMax } from '../../../api/validation.js';
import { isMapping, withoutNulls } from '../admission.js';
import { compare } from './compare.js';
import type { Conflict, Writer } from './entries.js';
import { difference, emptySet, isEmptySet, union, type FieldSet } from './field-set.js';
import { fieldsOf } from './fields-of.js';
import { ownable } from './ordinary-write.js';

const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
const kubectl = 'kubectl';

/** The conflicts about fields that are not as client-side apply left them. */
export function conflictsLeftByClientSideApply(kind: KindDefinition, live: KubeObject, { manager, subresource }: Writer, conflicts: Conflict[]): Conflict[] {
  const text = live.metadata.annotations?.[annotation];
  if (conflicts.length === 0 || manager !== kubectl || subresource !== undefined || !text) return conflicts;
  const own = fieldsOfLastApplied(kind, live, text);
  return conflicts.map(({ entry, fields }) => ({ entry, fields: difference(fields, own) })).filter(({ fields }) => !isEmptySet(fields));
}

/** Those that are still as they were applied. */
function fieldsOfLastApplied(kind: KindDefinition, live: KubeObject, text: string): FieldSet {
  const applied = parsed(text);
  if (!isMapping(applied) || applied['apiVersion'] !== apiVersionOf(kind) || !isMapping(applied['metadata'])) return emptySet;
  const schema = kind.schema.root;
  const then = ownable(kind, applied as unknown as KubeObject, undefined);
  const { added, modified, removed } = compare(schema, then, ownable(kind, live, undefined));
  return difference(fieldsOf(schema, then), union(added, union(modified, removed)));
}

function parsed(text: string): unknown {
  try {
    return withoutNulls(JSON.parse(text), 0);
  } catch {
    return undefined;
  }
}

/** The object with its annotation, if it has one, saying what is applied now. What goes through a subresource is no configuration of the whole. */
export function withLastApplied(object: KubeObject, config: KubeObject, { manager, subresource }: Writer): KubeObject {
  const { annotations } = object.metadata;
  if (manager !== kubectl || subresource !== undefined || !annotations?.[annotation]) return object;
  const { [annotation]: _old, ...others } = config.metadata.annotations ?? {};
  const { annotations: _given, ...metadata } = config.metadata;
  const text = `${JSON.stringify({ ...config, metadata: Object.keys(others).length > 0 ? { ...metadata, annotations: others } : metadata })}\n`;
  const next = { ...annotations, [annotation]: text };
  if (bytesOf(next) > annotationBytesMax) delete (next as Record<string, string>)[annotation];
  return { ...object, metadata: { ...object.metadata, annotations: next } };
}

function bytesOf(annotations: Readonly<Record<string, string>>): number {
  return Object.entries(annotations).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
}
