// pod-schema.ts: what of v1 Pod the view of a task has, for kubectl explain and the OpenAPI documents. Nobody writes one, so nothing is validated.

import { Type, type TSchema } from 'typebox';
import { Condition, ObjectMeta } from './meta.js';

const text = (description: string): TSchema => Type.Optional(Type.String({ description }));
const count = (description: string): TSchema => Type.Optional(Type.Integer({ description }));
const flag = (description: string): TSchema => Type.Optional(Type.Boolean({ description }));
const time = (description: string): TSchema => Type.Optional(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description }));
const anything = (description: string): TSchema => Type.Optional(Type.Object({}, { description, 'x-kubernetes-preserve-unknown-fields': true }));
const object = (description: string, fields: Record<string, TSchema>): TSchema => Type.Optional(Type.Object(fields, { description }));
const list = (description: string, item: TSchema): TSchema => Type.Optional(Type.Array(item, { description }));

const containerState = (description: string): TSchema =>
  object(description, {
    waiting: object('It does not run yet, or waits for its next start.', { reason: text('Why, in one word.'), message: text('Why, in a sentence.') }),
    running: object('It runs.', { startedAt: time('Since when.') }),
    terminated: object('It has ended.', {
      exitCode: count('Exit code; 128 + signal when a signal ended it, 137 when nobody saw how it ended.'),
      signal: count('Number of the signal that ended it.'),
      reason: text('Completed, Error, OOMKilled, StartError or ContainerStatusUnknown.'),
      message: text('Why, in a sentence.'),
      startedAt: time('When it started.'),
      finishedAt: time('When it ended.'),
      containerID: text('Which attempt it was.'),
    }),
  });

export const podSchema = Type.Object(
  {
    apiVersion: Type.String({ description: 'v1' }),
    kind: Type.String({ description: 'Pod' }),
    metadata: ObjectMeta,
    spec: object('What the task runs, and where.', {
      nodeName: text('Node that the task is bound to; absent once the Pod of a finished task was evicted.'),
      containers: list(
        'One: the task.',
        Type.Object({
          name: Type.String({ description: 'Always task.' }),
          image: text('Always process: there are no images.'),
          command: list('Program and leading arguments.', Type.String()),
          args: list('Arguments after command.', Type.String()),
          workingDir: text('Directory that it runs in.'),
          env: list('Environment variables; those from a Secret only say where they come from.', Type.Object({ name: Type.String(), value: text('Its value.'), valueFrom: anything('Where its value comes from.') })),
          resources: anything('Requests and limits.'),
          securityContext: anything('User that it runs as.'),
        }),
      ),
      restartPolicy: text('Whether the command is started again when it ends.'),
      terminationGracePeriodSeconds: count('Seconds between SIGTERM and SIGKILL.'),
      activeDeadlineSeconds: count('Seconds from the first start after which it is stopped.'),
      priority: count('Priority of the task.'),
      schedulerName: text('Always taskplane.'),
      hostNetwork: flag('Always true: a process uses the network of its machine.'),
      nodeSelector: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Labels that the node must have.' })),
      tolerations: list('Taints that do not keep it away.', Type.Object({}, { 'x-kubernetes-preserve-unknown-fields': true })),
    }),
    status: object('What has become of this stay of the task on a node.', {
      phase: text('Pending, Running, Succeeded, Failed or Unknown.'),
      reason: text('Why, in one word.'),
      message: text('Why, in a sentence.'),
      startTime: time('When the task was bound to the node.'),
      hostIP: text('Address of the node.'),
      podIP: text('The same.'),
      podIPs: list('The same.', Type.Object({ ip: text('Address.') })),
      qosClass: text('Guaranteed, Burstable or BestEffort, by requests and limits.'),
      conditions: list('PodScheduled, Initialized, ContainersReady, Ready and DisruptionTarget.', Condition),
      containerStatuses: list(
        'Of the one container.',
        Type.Object({
          name: Type.String({ description: 'Always task.' }),
          image: text('Always process.'),
          imageID: text('Empty.'),
          containerID: text('Which attempt it is.'),
          ready: flag('Whether it runs.'),
          started: flag('Whether it runs.'),
          restartCount: count('How often the task was started again where it was.'),
          state: containerState('How it is.'),
          lastState: containerState('How the attempt before it ended, on this node.'),
        }),
      ),
    }),
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
);
