// node.ts
//
// When taints were added, and what the agent of a node may not say about it.
//
// Taints and protected labels steer tasks towards a node or away from it: an agent whose machine was broken into must not draw to itself what was not meant for it. The rules are those of
// Kubernetes' NodeRestriction: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction

import { dequal } from 'dequal';
import { forbidden } from '../../../api/errors.js';
import { timestamp } from '../../../api/meta.js';
import { nodeKind, type Node, type Taint } from '../../../api/node.js';
import { nodeOf } from '../authorization.js';
import type { Strategy } from './strategy.js';

/** Labels of the protected namespaces that describe the machine; all others there are the administrator's. */
const ownLabels: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname', 'kubernetes.io/os', 'kubernetes.io/arch', 'beta.kubernetes.io/os', 'beta.kubernetes.io/arch', 'beta.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region',
]);
const ownNamespaces = ['kubelet.kubernetes.io', 'node.kubernetes.io'];
const protectedNamespaces = ['kubernetes.io', 'k8s.io'];

export const nodeStrategy: Strategy = {
  refuseChange(user, next, stored) {
    const name = nodeOf(user);
    if (name === undefined) return;
    const problem = nodeProblem(next as Node, stored as Node | undefined);
    if (problem) throw forbidden(nodeKind, next.metadata.name ?? '', `node ${JSON.stringify(name)} is not allowed to ${problem}`);
  },
  prepareForUpdate(next, stored) {
    keepTimes(next as Node, stored as Node);
  },
  settle(object, { now }) {
    const node = object as Node;
    if (node.spec?.taints?.some(lacksTime)) node.spec = { ...node.spec, taints: node.spec.taints.map((taint) => (lacksTime(taint) ? { ...taint, timeAdded: timestamp(now) } : taint)) };
  },
};

/** Tolerations of a NoExecute taint count from when it was added: kubectl does not say when that is. */
function lacksTime({ effect, timeAdded }: Taint): boolean {
  return effect === 'NoExecute' && !timeAdded;
}

/** A taint that is written again is not a new one. */
function keepTimes(next: Node, stored: Node): void {
  if (!next.spec?.taints?.some(lacksTime)) return;
  const timeOf = ({ key, value = '', effect }: Taint): string | undefined =>
    stored.spec?.taints?.find((taint) => taint.key === key && taint.effect === effect && (taint.value ?? '') === value)?.timeAdded;
  next.spec = {
    ...next.spec,
    taints: next.spec.taints.map((taint) => {
      const timeAdded = lacksTime(taint) ? timeOf(taint) : undefined;
      return timeAdded ? { ...taint, timeAdded } : taint;
    }),
  };
}

/** What an agent may not do of what leads from `stored` (undefined for a new node) to `next`. Pure. */
function nodeProblem(next: Node, stored: Node | undefined): string | undefined {
  const labels = changedKeys(next.metadata.labels ?? {}, stored?.metadata.labels ?? {}).filter(isProtected);
  if (labels.length > 0) return `${stored ? 'modify' : 'set'} the labels ${labels.toSorted().join(', ')}`;
  // A new node may bring taints: they only keep tasks away.
  if (!stored) return next.metadata.ownerReferences ? 'set ownerReferences' : undefined;
  if (!dequal(next.spec?.taints ?? [], stored.spec?.taints ?? [])) return 'modify taints';
  if (!dequal(next.metadata.ownerReferences, stored.metadata.ownerReferences)) return 'modify ownerReferences';
  return undefined;
}

function changedKeys(next: Readonly<Record<string, string>>, stored: Readonly<Record<string, string>>): string[] {
  return [...new Set([...Object.keys(next), ...Object.keys(stored)])].filter((key) => next[key] !== stored[key]);
}

function isProtected(label: string): boolean {
  const namespace = label.includes('/') ? label.slice(0, label.indexOf('/')) : '';
  return isWithin(namespace, protectedNamespaces) && !ownLabels.has(label) && !isWithin(namespace, ownNamespaces);
}

function isWithin(namespace: string, outer: readonly string[]): boolean {
  return outer.some((domain) => namespace === domain || namespace.endsWith(`.${domain}`));
}
