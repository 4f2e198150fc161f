// registry-keys.ts: where objects are kept in the store.

import type { KindDefinition } from '../../api/kind.js';
import { leaseKind, presenceNamespace } from '../../api/lease.js';
import { rootPrefix } from '../storage/store.js';

/** Every object's key begins with this. */
export const registryPrefix = `${rootPrefix}registry/`;

type KeyedKind = Pick<KindDefinition, 'group' | 'plural' | 'namespaced'>;

/** Made so far, by kind: keys are asked for several times in each request. */
const prefixes = new WeakMap<KeyedKind, string>();

/** All objects of a kind, over all namespaces. A projection has none of its own: pass the kind it is derived from. */
export function kindPrefix(kind: KeyedKind): string {
  let prefix = prefixes.get(kind);
  if (prefix === undefined) prefixes.set(kind, (prefix = `${registryPrefix}${kind.group || 'core'}/${kind.plural}/`));
  return prefix;
}

/** Objects of a kind in one namespace; all of them without one, or for a kind of no namespace. */
export function collectionPrefix(kind: KeyedKind, namespace: string | undefined): string {
  return kind.namespaced && namespace ? `${kindPrefix(kind)}${namespace}/` : kindPrefix(kind);
}

export function objectStoreKey(kind: KeyedKind, name: string, namespace: string | undefined): string {
  return `${collectionPrefix(kind, namespace)}${name}`;
}

/** The key that stands for the presence of a node's agent; its value is the Lease that clients read. */
export function presenceKey(nodeName: string): string {
  return objectStoreKey(leaseKind, nodeName, presenceNamespace);
}

/** The kind whose objects are stored for `kind`: itself, or the one that it is derived from or stored as. */
export function storedKind(kind: KindDefinition): KindDefinition {
  return (kind.projectionOf ?? kind.storedAs)?.kind ?? kind;
}
