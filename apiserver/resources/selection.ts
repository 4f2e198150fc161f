// selection.ts
//
// What a list or watch is about: the prefix to look under, a single key or an index where the selectors allow it, and
// the test that the rest must pass. The test sees the object as clients see it: a projection's selectors are evaluated
// on the projection.

import { badRequest } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { fixedField, matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector, type FieldRequirement } from '../../api/selectors.js';
import type { Entry } from '../storage/entry.js';
import { indexOf, labelsOf } from './object-cache.js';
import { collectionPrefix, objectStoreKey, storedKind } from './registry-keys.js';
import type { SelectOptions, Target } from './service.js';

export interface Selection {
  readonly prefix: string;
  /** The only key that can match. */
  readonly key: string | undefined;
  /** The index value that everything that matches has. */
  readonly index: { readonly name: string; readonly value: string } | undefined;
  /** Undefined when everything under `prefix` matches. */
  readonly matches: ((object: KubeObject) => boolean) | undefined;
  /** The same of what is stored, where that can be told without parsing it. */
  readonly matchesEntry: ((entry: Entry) => boolean) | undefined;
}

/** @throws ApiError BadRequest for a selector that cannot be read or names a field that the kind does not offer */
export function selectionOf(target: Target, options: SelectOptions): Selection {
  const labels = parseLabelSelector(options.labelSelector ?? '');
  const fields = parseFieldSelector(options.fieldSelector ?? '');
  const { orFields } = options;
  const { kind } = target;
  const valueOf = fieldReader(kind);
  for (const { field } of fields) {
    if (!isSelectable(kind, field)) throw badRequest(`${unselectable(kind, options)}: field label not supported: ${field}`);
  }

  const namespace = target.namespace ?? (kind.namespaced ? nonEmpty(fixedField(fields, 'metadata.namespace')) : undefined);
  const name = nonEmpty(fixedField(fields, 'metadata.name'));
  const stored = storedKind(kind);
  return {
    prefix: collectionPrefix(stored, namespace),
    key: name !== undefined && (namespace !== undefined || !kind.namespaced) ? objectStoreKey(stored, name, namespace) : undefined,
    index: indexFor(kind, fields),
    matches:
      labels.length === 0 && fields.length === 0
        ? undefined
        : (object) => {
            const read = (field: string): string => valueOf(object, field);
            return matchesLabels(labels, object.metadata.labels) && (matchesFields(fields, read) || (orFields !== undefined && matchesFields(orFields, read)));
          },
    matchesEntry: labels.length > 0 && fields.length === 0 && stored === kind && !kind.storedAs ? (entry) => matchesLabels(labels, labelsOf(entry)) : undefined,
  };
}

function unselectable({ group, version, plural }: KindDefinition, options: SelectOptions): string {
  const { labelSelector = '', fieldSelector = '' } = options;
  return `Unable to find "${group}/${version}, Resource=${plural}" that match label selector ${JSON.stringify(labelSelector)}, field selector ${JSON.stringify(fieldSelector)}`;
}

function isSelectable(kind: KindDefinition, field: string): boolean {
  return field === 'metadata.name' || field === 'metadata.namespace' || Object.hasOwn(kind.selectableFields ?? {}, field);
}

function fieldReader(kind: KindDefinition): (object: KubeObject, field: string) => string {
  return (object, field) => {
    if (field === 'metadata.name') return object.metadata.name ?? '';
    if (field === 'metadata.namespace') return object.metadata.namespace ?? '';
    return kind.selectableFields![field]!(object);
  };
}

function indexFor(kind: KindDefinition, fields: readonly FieldRequirement[]): Selection['index'] {
  for (const { field, equal, value } of fields) {
    const name = equal && value !== '' ? indexOf(kind, field, value) : undefined;
    if (name !== undefined) return { name, value };
  }
  return undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text || undefined;
}
