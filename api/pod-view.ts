// pod-view.ts
//
// A task as a v1 Pod. One Pod stands for one stay of the task on a node, as where a controller replaces Pods: it gets its uid while the task
// waits for the node, keeps it as long as the task is bound there, and when the task is given away, another Pod of the same name takes its
// place. Tools that wait for a Pod to go (kubectl drain, kubectl delete) wait for just that. The Pod of a finished task stays, for its log,
// until it is evicted or deleted: from then on it is on no node.

import { dequal } from 'dequal';
import { createHash } from 'node:crypto';
import { constants } from 'node:os';
import { findCondition } from './conditions.js';
import { apiVersionOf } from './kind.js';
import { parseTimestamp, timestamp, type Condition, type KubeObject, type ObjectMeta } from './meta.js';
import { isFinished, taskKind, type EnvVar, type Task, type TaskPhase, type TaskSpec, type TaskStatus, type Toleration } from './task.js';

export const podContainerName = 'task';
export const podSchedulerName = 'taskplane';
const image = 'process';

export interface Pod extends KubeObject {
  apiVersion: 'v1';
  kind: 'Pod';
  spec: PodSpec;
  status: PodStatus;
}

export interface PodSpec {
  nodeName?: string;
  containers: { name: string; image: string; command: string[]; args?: string[]; workingDir?: string; env?: EnvVar[]; stdin?: boolean; stdinOnce?: boolean; resources: object; securityContext?: { runAsUser: number } }[];
  restartPolicy: string;
  terminationGracePeriodSeconds?: number;
  activeDeadlineSeconds?: number;
  priority: number;
  schedulerName: string;
  hostNetwork: true;
  nodeSelector?: Record<string, string>;
  tolerations?: Toleration[];
}

export interface PodStatus {
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  reason?: string;
  message?: string;
  startTime?: string;
  hostIP?: string;
  podIP?: string;
  podIPs?: { ip: string }[];
  qosClass: 'Guaranteed' | 'Burstable' | 'BestEffort';
  conditions: PodCondition[];
  containerStatuses?: ContainerStatus[];
}

interface PodCondition extends Condition {
  lastProbeTime: null;
}

interface ContainerEnd {
  exitCode: number;
  signal?: number;
  reason?: string;
  message?: string;
  startedAt: string | null;
  finishedAt: string | null;
}

interface ContainerState {
  waiting?: { reason: string; message?: string };
  running?: { startedAt: string | null };
  terminated?: ContainerEnd;
}

interface ContainerStatus {
  name: string;
  image: string;
  imageID: string;
  containerID?: string;
  ready: boolean;
  started: boolean;
  restartCount: number;
  state: ContainerState;
  lastState: ContainerState;
}

/** The Pod view of a task. */
export function podOf(task: Task): Pod {
  const status = task.status ?? {};
  const nodeName = nodeOf(task);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadataOf(task),
    spec: specOf(task.spec, nodeName),
    status: {
      phase: phaseOf(status),
      ...reasonOf(task),
      ...(status.nodeName && status.scheduledTime ? { startTime: status.scheduledTime } : {}),
      // A process is where its node is.
      ...(nodeName && status.hostIP ? { hostIP: status.hostIP, podIP: status.hostIP, podIPs: [{ ip: status.hostIP }] } : {}),
      qosClass: qosClassOf(task.spec),
      conditions: conditionsOf(task),
      ...(status.nodeName ? { containerStatuses: [containerOf(task)] } : {}),
    },
  };
}

/** The uid of the Pod that stands for the task now: a version 5 UUID named by the task's uid and its stay. https://www.rfc-editor.org/rfc/rfc9562#section-5.5 */
export function podUid(task: Task): string {
  const { uid = '' } = task.metadata;
  const { bindings = 0 } = task.status ?? {};
  const stay = nodeOf(task) ? bindings : bindings + 1;
  const digest = createHash('sha1').update(Buffer.from(uid.replaceAll('-', ''), 'hex')).update(`pod/${stay}`).digest();
  digest[6] = (digest[6]! & 0x0f) | 0x50;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

/** Where the Pod is: that of a finished task leaves its node when it is evicted. */
function nodeOf(task: Task): string | undefined {
  const { nodeName, eviction } = task.status ?? {};
  return eviction && isFinished(task) ? undefined : nodeName || undefined;
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

function metadataOf(task: Task): ObjectMeta {
  // What kubectl applied is the task: the Pod is not pruned for it.
  const { managedFields: _m, finalizers: _f, generation: _g, annotations: { [lastApplied]: _applied, ...annotations } = {}, ...metadata } = task.metadata;
  return {
    ...metadata,
    uid: podUid(task),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    ...deletionOf(task),
    ownerReferences: [
      {
        apiVersion: apiVersionOf(taskKind),
        kind: taskKind.kind,
        name: metadata.name ?? '',
        uid: metadata.uid ?? '',
        // Nobody makes another Pod in its place: kubectl drain asks for --force.
        ...(task.spec.onNodeLost === 'Fail' ? {} : { controller: true, blockOwnerDeletion: true }),
      },
    ],
  };
}

/** Kubernetes sets deletionTimestamp to when the grace period is over. */
function deletionOf(task: Task): Pick<ObjectMeta, 'deletionTimestamp' | 'deletionGracePeriodSeconds'> {
  const { eviction } = task.status ?? {};
  if (!eviction || task.metadata.deletionTimestamp || isFinished(task)) return {};
  const { requestedTime, gracePeriodSeconds } = eviction;
  return { deletionTimestamp: timestamp((parseTimestamp(requestedTime) ?? 0) + gracePeriodSeconds * 1000), deletionGracePeriodSeconds: gracePeriodSeconds };
}

function specOf(spec: TaskSpec, nodeName: string | undefined): PodSpec {
  return {
    ...(nodeName ? { nodeName } : {}),
    containers: [
      {
        name: podContainerName,
        image,
        command: spec.command ?? ['/bin/sh', '-eu', '-c', spec.script ?? ''],
        ...present(spec, ['args', 'workingDir', 'env', 'stdin', 'stdinOnce']),
        resources: spec.resources ?? {},
        ...(typeof spec.runAsUser === 'number' ? { securityContext: { runAsUser: spec.runAsUser } } : {}),
      },
    ],
    restartPolicy: spec.restartPolicy ?? 'Never',
    ...present(spec, ['terminationGracePeriodSeconds', 'activeDeadlineSeconds', 'nodeSelector', 'tolerations']),
    priority: spec.priority ?? 0,
    schedulerName: podSchedulerName,
    hostNetwork: true,
  };
}

/** A Pod whose container waits for its next start runs, for Kubernetes. */
function phaseOf(status: TaskStatus): PodStatus['phase'] {
  if (status.phase === 'Scheduled') return status.reason === 'BackOff' ? 'Running' : 'Pending';
  return (status.phase as Exclude<TaskPhase, 'Scheduled'> | undefined) ?? 'Pending';
}

/** Reasons that belong to the container. */
const containerReasons: ReadonlySet<string> = new Set(['Completed', 'Error', 'OOMKilled', 'StartError', 'BackOff']);

function reasonOf({ status = {} }: Task): Pick<PodStatus, 'reason' | 'message'> {
  const { phase = 'Pending', reason, message } = status;
  // Why a task was given away is about the Pod before this one.
  if (phase === 'Pending' || phase === 'Scheduled' || !reason || containerReasons.has(reason)) return {};
  return { reason, ...(message ? { message } : {}) };
}

function containerOf(task: Task): ContainerStatus {
  const status = task.status ?? {};
  const { attempt = 1, bindings = 1, lastAttempt: last, nodeName } = status;
  const ready = status.phase === 'Running';
  const backOff = status.phase === 'Scheduled' && status.reason === 'BackOff';
  const before = backOff ? status : last?.nodeName === nodeName && !movedReasons.has(last?.reason ?? '') ? last : undefined;
  return {
    name: podContainerName,
    image,
    imageID: '',
    ...(status.startTime && task.metadata.uid ? { containerID: `${image}://${task.metadata.uid}-${bindings}-${attempt}` } : {}),
    ready,
    started: ready,
    // Each binding makes an attempt, too.
    restartCount: Math.max(0, attempt - bindings),
    state: stateOf(status, backOff),
    lastState: before ? { terminated: endOf(before, before.reason === 'BackOff' ? undefined : before.reason) } : {},
  };
}

/** Ends after which the task was given away: what came after them is another Pod. */
const movedReasons: ReadonlySet<string> = new Set(['Evicted', 'NodeLost', 'Lost', 'AgentStopped']);

function stateOf(status: TaskStatus, backOff: boolean): ContainerState {
  const { phase, reason, message, startTime, exitCode } = status;
  const why = message ? { message } : {};
  switch (phase) {
    case 'Running':
    case 'Unknown':
      return startTime ? { running: { startedAt: startTime } } : { waiting: { reason: 'ContainerCreating' } };
    case 'Succeeded':
    case 'Failed':
      if (exitCode === undefined && !startTime) return { waiting: { reason: reason ?? 'Error', ...why } };
      return { terminated: { ...endOf(status, containerReasons.has(reason ?? '') ? reason : undefined), ...(phase === 'Failed' ? why : {}) } };
    default:
      return { waiting: { reason: backOff ? 'CrashLoopBackOff' : (waitingReasons.get(reason ?? '') ?? reason ?? 'ContainerCreating'), ...why } };
  }
}

/** Our words for what Kubernetes has others for. */
const waitingReasons = new Map([['CreateConfigError', 'CreateContainerConfigError']]);

/** An end whose exit code nobody saw is told as Kubernetes tells it. */
function endOf(ended: Pick<TaskStatus, 'exitCode' | 'signal' | 'startTime' | 'finishTime'>, reason: string | undefined): ContainerEnd {
  const { exitCode, signal, startTime = null, finishTime = null } = ended;
  const number = constants.signals[signal as NodeJS.Signals];
  return {
    exitCode: exitCode ?? 137,
    ...(number ? { signal: number } : {}),
    reason: reason ?? (exitCode === undefined ? 'ContainerStatusUnknown' : exitCode === 0 ? 'Completed' : 'Error'),
    startedAt: startTime,
    finishedAt: finishTime,
  };
}

function conditionsOf(task: Task): PodCondition[] {
  const { status = {}, metadata } = task;
  const scheduled = findCondition(status.conditions, 'Scheduled');
  const disruption = findCondition(status.conditions, 'DisruptionTarget');
  const condition = (type: string, is: Condition['status'], since: string | null | undefined, why: Pick<Condition, 'reason' | 'message'> = {}): PodCondition => {
    const time = since ?? metadata.creationTimestamp;
    return { type, status: is, ...why, ...(time ? { lastTransitionTime: time } : {}), lastProbeTime: null };
  };
  if (!status.nodeName) return [condition('PodScheduled', 'False', scheduled?.lastTransitionTime, notScheduled(scheduled))];
  const ready = status.phase === 'Running' ? 'True' : status.phase === 'Unknown' ? 'Unknown' : 'False';
  const readySince = findCondition(status.conditions, 'Ready')?.lastTransitionTime;
  return [
    condition('PodScheduled', 'True', scheduled?.lastTransitionTime),
    condition('Initialized', 'True', status.scheduledTime),
    condition('ContainersReady', ready, readySince, notReady(status)),
    condition('Ready', ready, readySince, notReady(status)),
    ...(disruption ? [{ ...disruption, lastProbeTime: null }] : []),
  ];
}

/** The scheduler has looked for a node when it says that there is none: until then there is nothing to tell. */
function notScheduled(scheduled: Condition | undefined): Pick<Condition, 'reason' | 'message'> {
  return scheduled?.reason === 'Unschedulable' ? { reason: 'Unschedulable', ...(scheduled.message ? { message: scheduled.message } : {}) } : {};
}

function notReady({ phase, message }: TaskStatus): Pick<Condition, 'reason' | 'message'> {
  if (phase === 'Running') return {};
  if (phase === 'Succeeded') return { reason: 'PodCompleted' };
  if (phase === 'Failed') return { reason: 'PodFailed', ...(message ? { message } : {}) };
  return phase === 'Unknown' ? { reason: 'NodeLost' } : { reason: 'ContainersNotReady', message: `containers with unready status: [${podContainerName}]` };
}

/** https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
function qosClassOf({ resources = {} }: TaskSpec): PodStatus['qosClass'] {
  const { requests = {}, limits = {} } = resources;
  if (![requests, limits].some((list) => 'cpu' in list || 'memory' in list)) return 'BestEffort';
  const same = (name: string): boolean => limits[name] !== undefined && dequal(limits[name], requests[name] ?? limits[name]);
  return same('cpu') && same('memory') ? 'Guaranteed' : 'Burstable';
}

function present<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  const picked: Partial<T> = {};
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key];
  return picked as Pick<T, K>;
}
