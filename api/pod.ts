// pod.ts
//
// Tasks as kubectl's own verbs want to see them: v1 Pods of the same namespace and name, with one container. A projection, not a kind of
// its own: derived from the Task on each read (pod-view.ts), with the columns that people know.

import { age, ageColumn, humanDuration, nameColumn, type KindDefinition } from './kind.js';
import { parseTimestamp } from './meta.js';
import { subdomainProblem } from './names.js';
import { podSchema } from './pod-schema.js';
import { podOf, type Pod } from './pod-view.js';
import { ObjectSchema } from './schema.js';
import { taskKind, type Task } from './task.js';

export { podContainerName, podOf, podUid, type Pod } from './pod-view.js';

/** The STATUS column, as kubectl has it: why a container waits or ended, where that tells more than the phase. https://github.com/kubernetes/kubernetes/blob/master/pkg/printers/internalversion/printers.go */
export function podStatusText({ metadata, status }: Pod): string {
  const finished = status.phase === 'Succeeded' || status.phase === 'Failed';
  if (metadata.deletionTimestamp && !finished) return status.reason === 'NodeLost' ? 'Unknown' : 'Terminating';
  if (status.reason) return status.reason;
  const state = status.containerStatuses?.[0]?.state;
  return state?.waiting?.reason ?? state?.terminated?.reason ?? status.phase;
}

function restarts({ status }: Pod, now: number): string {
  const container = status.containerStatuses?.[0];
  const count = String(container?.restartCount ?? 0);
  const last = parseTimestamp(container?.lastState.terminated?.finishedAt);
  return count === '0' || last === undefined ? count : `${count} (${humanDuration(now - last)} ago)`;
}

export const podKind: KindDefinition<Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: [],
  namespaced: true,
  description: 'The view of a Task that tools made for Pods read. Deleting or evicting one stops the attempt; the task is started elsewhere.',
  schema: new ObjectSchema(podSchema),
  statusSubresource: true,
  verbs: ['get', 'list', 'watch', 'delete'],
  whyNot: 'pods are views of tasks.taskplane.dev; create, change and delete those',
  projectionOf: { kind: taskKind, project: (object) => podOf(object as Task) },
  nameProblem: subdomainProblem,
  selectableFields: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec.restartPolicy,
    'spec.schedulerName': (pod) => pod.spec.schedulerName,
    'spec.serviceAccountName': () => '',
    'spec.hostNetwork': () => 'true',
    'status.phase': (pod) => pod.status.phase,
    'status.podIP': (pod) => pod.status.podIP ?? '',
    'status.nominatedNodeName': () => '',
  },
  columns: [
    nameColumn,
    { name: 'Ready', type: 'string', priority: 0, description: 'Containers that are ready, of those that there are.', cell: (pod) => `${pod.status.containerStatuses?.[0]?.ready ? 1 : 0}/1` },
    { name: 'Status', type: 'string', priority: 0, description: 'Phase, or why it waits or ended.', cell: podStatusText },
    { name: 'Restarts', type: 'string', priority: 0, description: 'How often the task was started again where it was, and when last.', cell: restarts },
    { ...ageColumn, cell: (pod, now) => age(pod.metadata.creationTimestamp, now) },
    { name: 'IP', type: 'string', priority: 1, description: 'Address of its node.', cell: (pod) => pod.status.podIP ?? '<none>' },
    { name: 'Node', type: 'string', priority: 1, description: 'Node that it is bound to.', cell: (pod) => pod.spec.nodeName ?? '<none>' },
    { name: 'Nominated Node', type: 'string', priority: 1, description: 'Never set.', cell: () => '<none>' },
    { name: 'Readiness Gates', type: 'string', priority: 1, description: 'There are none.', cell: () => '<none>' },
  ],
};
