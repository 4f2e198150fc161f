// generic-kind.ts: a kind of which no more is known than discovery tells: enough to read and write its objects as a client. The server judges them.

import { Type } from 'typebox';
import { ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { ObjectMeta } from './meta.js';
import { subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

export interface KindNames {
  /** Empty for the core group. */
  group: string;
  version: string;
  kind: string;
  plural: string;
  /** The kind in lower case when absent. */
  singular?: string;
  shortNames?: readonly string[];
  categories?: readonly string[];
  namespaced: boolean;
  statusSubresource?: boolean;
  verbs?: readonly string[];
}

const anything = new ObjectSchema(
  Type.Object(
    { apiVersion: Type.String({ description: 'API version of the object.' }), kind: Type.String({ description: 'Kind of the object.' }), metadata: ObjectMeta },
    { 'x-kubernetes-preserve-unknown-fields': true },
  ),
);

export function genericKind(names: KindNames): KindDefinition {
  const { group, version, kind, plural, namespaced, singular, shortNames = [], categories = [], statusSubresource = false, verbs } = names;
  return {
    group,
    version,
    kind,
    plural,
    singular: singular || kind.toLowerCase(),
    shortNames,
    categories,
    namespaced,
    description: '',
    schema: anything,
    columns: [nameColumn, ageColumn],
    statusSubresource,
    nameProblem: subdomainProblem,
    ...(verbs ? { verbs } : {}),
  };
}
