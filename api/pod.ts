// pod.ts
//
// Tasks as kubectl's own verbs want to see them: v1 Pods of the same namespace and name, with one container. A projection, not a kind of
// its own: read-only, derived from the Task on each read.

import { apiVersionOf, ageColumn, nameColumn, type KindDefinition } from './kind.js';
import type { KubeObject } from './meta.js';
import { subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';
import { isFinished, taskKind, type Task } from './task.js';
import { Type } from 'typebox';
import { ObjectMeta } from './meta.js';

export const podContainerName = 'task';

export interface Pod extends KubeObject {
  apiVersion: 'v1';
  kind: 'Pod';
  spec: { nodeName?: string; [field: string]: unknown };
  status: { phase: string; [field: string]: unknown };
}

/** The Pod view of a task. */
export function podOf(task: Task): Pod {
  const { managedFields: _m, ...metadata } = task.metadata;
  const status = task.status ?? {};
  const phase = status.phase === 'Scheduled' ? 'Pending' : (status.phase ?? 'Pending');
  const ready = phase === 'Running';
  const terminated = { exitCode: status.exitCode ?? 0, reason: status.reason ?? (phase === 'Succeeded' ? 'Completed' : 'Error'), startedAt: status.startTime, finishedAt: status.finishTime };
  const state = isFinished(task) ? { terminated } : ready ? { running: { startedAt: status.startTime } } : { waiting: { reason: status.reason ?? 'Pending', message: status.message } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      ownerReferences: [{ apiVersion: apiVersionOf(taskKind), kind: taskKind.kind, name: metadata.name ?? '', uid: metadata.uid ?? '', controller: true }],
    },
    spec: {
      nodeName: status.nodeName,
      restartPolicy: task.spec.restartPolicy,
      terminationGracePeriodSeconds: task.spec.terminationGracePeriodSeconds,
      priority: task.spec.priority,
      containers: [
        {
          name: podContainerName,
          image: 'process',
          command: task.spec.command ?? ['/bin/sh', '-eu', '-c', task.spec.script ?? ''],
          args: task.spec.args,
          workingDir: task.spec.workingDir,
          resources: task.spec.resources ?? {},
        },
      ],
    },
    status: {
      phase,
      reason: status.reason,
      message: status.message,
      startTime: status.startTime,
      conditions: [
        { type: 'PodScheduled', status: status.nodeName ? 'True' : 'False' },
        { type: 'Ready', status: ready ? 'True' : 'False' },
        { type: 'ContainersReady', status: ready ? 'True' : 'False' },
      ],
      containerStatuses: [
        {
          name: podContainerName,
          image: 'process',
          imageID: '',
          ready,
          started: ready,
          restartCount: Math.max(0, (status.attempt ?? 1) - 1),
          state,
          lastState: {},
        },
      ],
    },
  };
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
  description: 'The view of a Task that tools made for Pods read.',
  schema: new ObjectSchema(
    Type.Object({ apiVersion: Type.String(), kind: Type.String(), metadata: ObjectMeta }, { 'x-kubernetes-preserve-unknown-fields': true }),
  ),
  statusSubresource: true,
  verbs: ['get', 'list', 'watch'],
  projectionOf: { kind: taskKind, project: (object) => podOf(object as Task) },
  nameProblem: subdomainProblem,
  selectableFields: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'status.phase': (pod) => pod.status.phase,
  },
  columns: [
    nameColumn,
    { name: 'Status', type: 'string', priority: 0, description: 'Phase.', cell: (pod) => pod.status.phase },
    { name: 'Node', type: 'string', priority: 0, description: 'Node.', cell: (pod) => pod.spec.nodeName ?? '<none>' },
    ageColumn,
  ],
};

