// kinds.ts: the table of kinds. Everything generic (REST, discovery, tables, OpenAPI, CLI) reads it.

import { configMapKind, secretKind } from './config.js';
import { customResourceDefinitionKind } from './custom-resource-definition.js';
import { eventKind } from './event.js';
import { eventV1Kind } from './event-v1.js';
import { apiVersionOf, type KindDefinition } from './kind.js';
import { leaseKind } from './lease.js';
import { namespaceKind } from './namespace.js';
import { nodeKind } from './node.js';
import { podKind } from './pod.js';
import { reviewKinds } from './reviews.js';
import { serviceKind } from './service.js';
import { taskKind } from './task.js';

/** In the order of discovery: the core group first. */
export const kinds: readonly KindDefinition[] = [
  namespaceKind, nodeKind, configMapKind, secretKind, eventKind, podKind, serviceKind, leaseKind, eventV1Kind, taskKind, ...reviewKinds, customResourceDefinitionKind,
];

const byPlural = new Map(kinds.map((kind) => [`${kind.group}/${kind.version}/${kind.plural}`, kind]));
const byKind = new Map(kinds.map((kind) => [`${apiVersionOf(kind)}/${kind.kind}`, kind]));

export function findByPlural(group: string, version: string, plural: string): KindDefinition | undefined {
  return byPlural.get(`${group}/${version}/${plural}`);
}

export function findByKind(apiVersion: string, kind: string): KindDefinition | undefined {
  return byKind.get(`${apiVersion}/${kind}`);
}

/** What a person typed (`tasks`, `task`, `tk`, `Task`, `tasks.taskplane.dev`), or undefined: the first that fits. */
export function findByWord(word: string, known: readonly KindDefinition[] = kinds): KindDefinition | undefined {
  const lower = word.toLowerCase();
  return known.find((kind) => {
    const words = [kind.plural, kind.singular, kind.kind.toLowerCase(), ...kind.shortNames];
    return words.some((known) => lower === known || (kind.group !== '' && lower === `${known}.${kind.group}`));
  });
}

/** Path of the collection of a kind: `/apis/taskplane.dev/v1/namespaces/NS/tasks`, `/api/v1/nodes`. */
export function collectionPath(kind: KindDefinition, namespace?: string): string {
  const root = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`;
  return kind.namespaced && namespace ? `${root}/namespaces/${encodeURIComponent(namespace)}/${kind.plural}` : `${root}/${kind.plural}`;
}

/** Path of one object. */
export function objectPath(kind: KindDefinition, name: string, namespace?: string, subresource?: string): string {
  const path = `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
  return subresource ? `${path}/${subresource}` : path;
}
