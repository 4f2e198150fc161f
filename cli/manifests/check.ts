// check.ts: documents into objects that the server will take, or every problem of every document with its line.

import type { SchemaNode } from '../../api/schema.js';
import type { KindDefinition } from '../../api/kind.js';
import { customResourceDefinitionKind, type CustomResourceDefinition } from '../../api/custom-resource-definition.js';
import { genericKind } from '../../api/generic-kind.js';
import { findByKind, kinds } from '../../api/kinds.js';
import { apiVersionOf } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { applyDefaults, objectProblems } from '../../api/validation.js';
import { nearest } from './nearest.js';
import { itemOf, splitFieldPath, type ManifestDocument, type Problem } from './parse.js';

/** An object as its author wrote it, with where it stands. */
export interface Manifest {
  kind: KindDefinition;
  object: KubeObject;
  document: ManifestDocument;
}

/** Whether a document names a kind that is not built in. */
export function mayBeCustom(document: ManifestDocument): boolean {
  return withoutLists(document).some(({ value }) => {
    const { apiVersion, kind } = (value ?? {}) as { apiVersion?: unknown; kind?: unknown };
    return typeof apiVersion === 'string' && typeof kind === 'string' && !findByKind(apiVersion, kind);
  });
}

/** The kinds that the definitions among the documents are about to add. */
export function definedKinds(documents: readonly ManifestDocument[]): KindDefinition[] {
  return documents.flatMap(withoutLists).flatMap(({ value }) => {
    const definition = value as Partial<CustomResourceDefinition> | null;
    if (definition?.kind !== customResourceDefinitionKind.kind || definition.apiVersion !== apiVersionOf(customResourceDefinitionKind)) return [];
    const object = definition as CustomResourceDefinition;
    if (customResourceDefinitionKind.schema.problems({ ...object, metadata: object.metadata ?? {} }).length > 0) return [];
    const { group, names, scope, versions } = object.spec;
    return versions.map(({ name }) => genericKind({ group, version: name, kind: names.kind, plural: names.plural, namespaced: scope === 'Namespaced', ...(names.singular ? { singular: names.singular } : {}) }));
  });
}

/** @param custom kinds that are not built in */
export function checkDocuments(documents: readonly ManifestDocument[], custom: readonly KindDefinition[] = []): { manifests: Manifest[]; problems: Problem[] } {
  const manifests: Manifest[] = [];
  const problems: Problem[] = [];
  for (const document of documents.flatMap(withoutLists)) {
    const found = checkDocument(document, custom);
    if ('kind' in found) manifests.push({ ...found, document });
    else problems.push(...found.problems);
  }
  return { manifests, problems };
}

/** `FILE:LINE: MESSAGE`, in the order of files and lines. */
export function problemLines(problems: readonly Problem[]): string[] {
  const order = [...new Set(problems.map(({ source }) => source))];
  const sorted = [...problems].sort((a, b) => order.indexOf(a.source) - order.indexOf(b.source) || a.line - b.line);
  return sorted.map(({ source, line, message }) => `${source}:${line}: ${message}`);
}

function withoutLists(document: ManifestDocument): ManifestDocument[] {
  const { kind, items } = (document.value ?? {}) as { kind?: unknown; items?: unknown };
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return [document];
  return items.map((_, index) => itemOf(document, index));
}

function checkDocument(document: ManifestDocument, custom: readonly KindDefinition[]): { kind: KindDefinition; object: KubeObject } | { problems: Problem[] } {
  const { source, value, lineOf } = document;
  const refuse = (field: string, message: string): { problems: Problem[] } => ({ problems: [{ source, line: lineOf(field), message }] });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('', 'an object is expected here: a mapping with apiVersion, kind and metadata');
  const { apiVersion, kind: kindName } = value as { apiVersion?: unknown; kind?: unknown };
  if (typeof apiVersion !== 'string' || apiVersion === '') return refuse('apiVersion', 'apiVersion: Required value: such as taskplane.dev/v1 for a Task');
  if (typeof kindName !== 'string' || kindName === '') return refuse('kind', 'kind: Required value: such as Task');
  const kind = findByKind(apiVersion, kindName) ?? custom.find((known) => known.kind === kindName && apiVersionOf(known) === apiVersion);
  if (!kind) return refuse(kinds.some((known) => apiVersionOf(known) === apiVersion) ? 'kind' : 'apiVersion', unknownKind(apiVersion, kindName));
  if (kind.projectionOf) return refuse('kind', `a ${kind.kind} cannot be applied: it is a view of the ${kind.projectionOf.kind.kind} of the same name; write a ${kind.projectionOf.kind.kind}`);

  const object = value as KubeObject;
  const unknown = kind.schema.unknownFields(object).map((field): Problem => ({ source, line: lineOf(field), message: unknownField(kind, field) }));
  const complete = withoutNulls(object) as KubeObject;
  (complete as { metadata?: unknown }).metadata ??= {};
  applyDefaults(kind, complete);
  const wrong = objectProblems(kind, complete).map(({ field, message }): Problem => ({ source, line: lineOf(field), message: `${field}: ${message}` }));
  const problems = [...unknown, ...wrong];
  return problems.length > 0 ? { problems } : { kind, object };
}

/** A copy without nulls: to the server they are as good as absent. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined).map(([key, inner]) => [key, withoutNulls(inner)]));
}

function unknownKind(apiVersion: string, kind: string): string {
  const known = kinds.filter((candidate) => candidate.verbs?.includes('update') ?? !candidate.projectionOf);
  const exact = known.find((candidate) => candidate.kind === kind);
  const close = exact ?? known.find((candidate) => candidate.kind === nearest(kind, known.map((other) => other.kind)));
  const hint = close ? `; did you mean kind ${close.kind} of ${apiVersionOf(close)}?` : '';
  return `no matches for kind "${kind}" in version "${apiVersion}"${hint}`;
}

function unknownField(kind: KindDefinition, field: string): string {
  const parts = splitFieldPath(field);
  const siblings = Object.keys(schemaAt(kind.schema.root, parts.slice(0, -1))?.properties ?? {});
  const close = nearest(parts[parts.length - 1]!, siblings);
  return `unknown field "${field}"${close ? `; did you mean ${close}?` : ''}`;
}

function schemaAt(root: SchemaNode, path: readonly string[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const part of path) {
    if (!node) return undefined;
    const rest: SchemaNode | undefined = typeof node.additionalProperties === 'object' ? node.additionalProperties : Object.values(node.patternProperties ?? {})[0];
    node = node.properties?.[part] ?? node.items ?? rest;
  }
  return node;
}
