// task.ts: the unit of work. One command, run to completion or kept running.

import { Type, type Static } from 'typebox';
import { forbiddenField, invalidValue, notSupported, required, type FieldProblem } from './errors.js';
import { age, ageColumn, humanDuration, nameColumn, type KindDefinition } from './kind.js';
import { Condition, ObjectMeta, parseTimestamp, type KubeObject } from './meta.js';
import { configKeyProblem, environmentNameProblem, labelsProblems, qualifiedNameProblem, subdomainProblem } from './names.js';
import { parseMilli, quantityHelp } from './quantity.js';
import { ObjectSchema } from './schema.js';
import { dequal } from 'dequal';

const opt = Type.Optional;

const Quantity = Type.Union([Type.String(), Type.Number()], {
  description: "An amount, such as 500m, 2 or 1.5Gi.",
  'x-kubernetes-int-or-string': true,
});
const ResourceList = Type.Record(Type.String(), Quantity);

const keyRef = (what: string) =>
  Type.Object(
    {
      name: Type.String({ minLength: 1, description: `Name of the ${what}, in the task's namespace.` }),
      key: Type.String({ minLength: 1, description: `Key in the ${what}.` }),
      optional: opt(Type.Boolean({ description: `Whether the task may start when the ${what} or the key is missing; the variable is then not set.` })),
    },
    { 'x-kubernetes-map-type': 'atomic', description: `A key of a ${what}.` },
  );

const EnvVar = Type.Object({
  name: Type.String({ minLength: 1, description: 'Name of the variable.' }),
  value: opt(Type.String({ description: 'Its value; $(OTHER) is replaced by a variable defined earlier in the list, $$(OTHER) stands for itself.' })),
  valueFrom: opt(
    Type.Object(
      {
        secretKeyRef: opt(keyRef('Secret')),
        configMapKeyRef: opt(keyRef('ConfigMap')),
        fieldRef: opt(
          Type.Object(
            {
              fieldPath: Type.String({ description: "metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], status.nodeName or status.attempt." }),
              apiVersion: opt(Type.String({ description: 'Ignored.' })),
            },
            { 'x-kubernetes-map-type': 'atomic', description: 'A field of the task itself.' },
          ),
        ),
      },
      { description: 'Where the value comes from, instead of value; exactly one source.' },
    ),
  ),
});
export type EnvVar = Static<typeof EnvVar>;

const Toleration = Type.Object({
  key: opt(Type.String({ description: 'Key of the taint; empty with operator Exists tolerates every taint.' })),
  operator: opt(Type.String({ enum: ['Equal', 'Exists'], default: 'Equal', description: 'Equal compares value, Exists does not.' })),
  value: opt(Type.String({ description: 'Value of the taint, with operator Equal.' })),
  effect: opt(Type.String({ enum: ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute'], description: 'Effect of the taint; every effect when absent.' })),
  tolerationSeconds: opt(Type.Integer({ description: 'For how long a NoExecute taint is tolerated, seconds from when it was added; for ever when absent.' })),
});
export type Toleration = Static<typeof Toleration>;

const ResourceRequirements = Type.Object(
  {
    requests: opt(Type.Record(Type.String(), Quantity, { description: 'What the node must have free: cpu (cores), memory (bytes) or any resource that a node declares. Defaults to limits.' })),
    limits: opt(Type.Record(Type.String(), Quantity, { description: 'What the task may use at most: cpu and memory are enforced by cgroups; going over memory ends the task as OOMKilled.' })),
  },
  { description: 'Resources that the task needs and may use.' },
);

const TaskSpec = Type.Object(
  {
    command: opt(Type.Array(Type.String(), { minItems: 1, 'x-kubernetes-list-type': 'atomic', description: 'Program and leading arguments; run as it is, without a shell. One of command and script is needed.' })),
    args: opt(Type.Array(Type.String(), { 'x-kubernetes-list-type': 'atomic', description: 'Arguments after command, or $1, $2, … of script.' })),
    script: opt(Type.String({ minLength: 1, description: 'Shell script, run by /bin/sh -eu.' })),
    env: opt(Type.Array(EnvVar, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], description: "Environment variables, beside PATH, HOME, USER, PWD and TASKPLANE_*." })),
    workingDir: opt(Type.String({ description: 'Absolute path of the directory to run in; an empty directory of the attempt\'s own when absent.' })),
    runAsUser: opt(Type.Union([Type.String(), Type.Integer()], { 'x-kubernetes-int-or-string': true, description: 'User name or number to run as; the agent\'s own user when absent. An agent that is not root can run as its own user only.' })),
    stdin: opt(Type.Boolean({ description: 'Whether the command reads what attached clients send (kubectl attach -i), and waits for some; without this its standard input is empty.' })),
    stdinOnce: opt(Type.Boolean({ description: 'With stdin: the input ends when the first client that was attached to it leaves. Else clients may come and go.' })),
    resources: opt(ResourceRequirements),
    restartPolicy: opt(Type.String({ enum: ['Never', 'OnFailure', 'Always'], default: 'Never', description: 'Whether the command is started again when it ends, on the same node and after a growing delay: Never, OnFailure (exit code other than 0) or Always.' })),
    backoffLimit: opt(Type.Integer({ minimum: 1, maximum: 2147483647, description: 'Attempts in all, wherever they ran, before the task is Failed. Default 6; with restartPolicy Always no limit.' })),
    activeDeadlineSeconds: opt(Type.Integer({ minimum: 1, description: 'Seconds from the first start after which the task is stopped and Failed with reason DeadlineExceeded.' })),
    terminationGracePeriodSeconds: opt(Type.Integer({ minimum: 0, default: 30, description: 'Seconds between SIGTERM and SIGKILL when the task is stopped.' })),
    ttlSecondsAfterFinished: opt(Type.Integer({ minimum: 0, description: 'Seconds after which the finished task is deleted; kept when absent.' })),
    priority: opt(Type.Integer({ minimum: -2147483648, maximum: 2147483647, default: 0, description: 'Pending tasks of higher priority are bound first.' })),
    nodeName: opt(Type.String({ description: 'Pins the task to this node. It waits there for room like any other.' })),
    nodeSelector: opt(Type.Record(Type.String(), Type.String(), { description: 'Labels that the node must have.' })),
    tolerations: opt(Type.Array(Toleration, { 'x-kubernetes-list-type': 'atomic', description: 'Taints of nodes that do not keep the task away.' })),
    onNodeLost: opt(Type.String({ enum: ['Reschedule', 'Wait', 'Fail'], default: 'Reschedule', description: 'What to do when the node is lost: Reschedule elsewhere (a new attempt), Wait for the node to come back, or Fail.' })),
  },
  { description: 'What to run, where it may run, and what to do when it ends.' },
);
export type TaskSpec = Static<typeof TaskSpec>;

export const taskPhases = ['Pending', 'Scheduled', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;
export type TaskPhase = (typeof taskPhases)[number];

const AttemptResult = Type.Object(
  {
    attempt: Type.Integer({ description: 'Number of the attempt.' }),
    nodeName: opt(Type.String({ description: 'Where it ran.' })),
    startTime: opt(Type.String({ format: 'date-time', description: 'When its process started.' })),
    finishTime: opt(Type.String({ format: 'date-time', description: 'When its process ended.' })),
    exitCode: opt(Type.Integer({ description: 'Exit code; 128 + signal when a signal ended it.' })),
    signal: opt(Type.String({ description: 'Signal that ended it.' })),
    reason: opt(Type.String({ description: 'Why it ended, in one word.' })),
  },
  { description: 'How the attempt before the current one ended.' },
);

const Eviction = Type.Object(
  {
    requestedTime: Type.String({ format: 'date-time', description: 'When it was first asked for.' }),
    gracePeriodSeconds: Type.Integer({ description: 'Seconds between SIGTERM and SIGKILL.' }),
    reason: Type.String({ description: 'Who asks, in one word: EvictionByEvictionAPI, DeletionByTaintManager.' }),
  },
  { description: 'The attempt is to be stopped here and made again elsewhere. Of a finished task: its Pod has been taken off the node.' },
);

const TaskStatus = Type.Object(
  {
    phase: opt(Type.String({ enum: [...taskPhases], description: 'Pending (no node yet), Scheduled (bound, not running), Running, Succeeded, Failed, or Unknown (its node is lost and onNodeLost is Wait).' })),
    nodeName: opt(Type.String({ description: 'The node that the task is bound to.' })),
    hostIP: opt(Type.String({ description: 'Address of that node, as of the binding.' })),
    bindings: opt(Type.Integer({ description: 'How often the task has been bound to a node; names the current binding.' })),
    attempt: opt(Type.Integer({ description: 'Number of the current attempt, from 1; 0 or absent before the first.' })),
    scheduledTime: opt(Type.String({ format: 'date-time', description: 'When the task was bound to the node.' })),
    firstStartTime: opt(Type.String({ format: 'date-time', description: 'When the first attempt started.' })),
    startTime: opt(Type.String({ format: 'date-time', description: 'When the current attempt started.' })),
    finishTime: opt(Type.String({ format: 'date-time', description: 'When the current attempt ended.' })),
    exitCode: opt(Type.Integer({ description: 'Exit code of the current attempt; 128 + signal when a signal ended it.' })),
    signal: opt(Type.String({ description: 'Signal that ended the current attempt, such as SIGKILL.' })),
    reason: opt(Type.String({ description: 'Why the task is in this phase, in one word.' })),
    message: opt(Type.String({ description: 'Why the task is in this phase, in a sentence.' })),
    usage: opt(
      Type.Object(
        {
          cpuSeconds: opt(Type.Number({ description: 'CPU time used by the current attempt, seconds.' })),
          memoryPeakBytes: opt(Type.Integer({ description: 'Most memory used at once by the current attempt, bytes.' })),
        },
        { description: 'What the current attempt has used.' },
      ),
    ),
    lastAttempt: opt(AttemptResult),
    evictions: opt(Type.Integer({ description: 'Attempts that an eviction ended; they do not count against backoffLimit.' })),
    eviction: opt(Eviction),
    conditions: opt(Type.Array(Condition, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'], description: 'Scheduled, Ready (True while it runs), Complete, Failed, Finished (True for either) and DisruptionTarget (True from an eviction to the next binding).' })),
  },
  { description: 'What has become of the task. Written by Taskplane.' },
);
export type TaskStatus = Static<typeof TaskStatus>;

const TaskObject = Type.Object({
  apiVersion: Type.String({ description: 'taskplane.dev/v1' }),
  kind: Type.String({ description: 'Task' }),
  metadata: ObjectMeta,
  spec: TaskSpec,
  status: opt(TaskStatus),
});

export interface Task extends KubeObject {
  apiVersion: 'taskplane.dev/v1';
  kind: 'Task';
  spec: TaskSpec;
  status?: TaskStatus;
}

/** Attempts in all that the task may make; Infinity when there is no limit. */
export function attemptsMax(spec: TaskSpec): number {
  return spec.backoffLimit ?? (spec.restartPolicy === 'Always' ? Infinity : 6);
}

/** Attempts so far that count against backoffLimit. */
export function attemptsUsed(status: TaskStatus): number {
  return (status.attempt ?? 0) - (status.evictions ?? 0);
}

export function isFinished(task: Task): boolean {
  return task.status?.phase === 'Succeeded' || task.status?.phase === 'Failed';
}

/**
 * Whether the task has finished and nothing more becomes of it unless somebody changes or deletes it: it is not deleted after a
 * time or with an owner, and not being deleted. Controllers, which have nothing to do for it, neither get nor keep it.
 */
export function isSettled(task: Task): boolean {
  const { ownerReferences, deletionTimestamp } = task.metadata;
  return isFinished(task) && task.spec.ttlSecondsAfterFinished === undefined && !ownerReferences?.length && deletionTimestamp === undefined;
}

/** Selects the tasks that are not settled: what they cost to list and to watch does not grow with history. */
export const unsettledSelector = 'status.settled=false';

/** Whether the task takes room on the node status.nodeName. */
export function holdsRoom(task: Task): boolean {
  return Boolean(task.status?.nodeName) && !isFinished(task);
}

const fieldRefPaths = /^(metadata\.(name|namespace|uid|(labels|annotations)\['[^']+'\])|status\.(nodeName|attempt)|spec\.nodeName)$/;

function validate(task: Task): FieldProblem[] {
  const { spec } = task;
  const problems: FieldProblem[] = [];
  if (spec.command && spec.script !== undefined) problems.push(forbiddenField('spec.script', 'may not be used together with command; keep one of them'));
  if (!spec.command && spec.script === undefined) problems.push(required('spec.command', 'give command (a list) or script (a shell script)'));
  if (spec.command?.[0] === '') problems.push(invalidValue('spec.command[0]', '', 'must name a program'));
  (spec.env ?? []).forEach((variable, index) => problems.push(...envProblems(variable, `spec.env[${index}]`)));
  if (spec.workingDir !== undefined && !spec.workingDir.startsWith('/')) problems.push(invalidValue('spec.workingDir', spec.workingDir, 'must be an absolute path'));
  if (spec.runAsUser !== undefined && !/^([a-z_][a-z0-9_-]*[$]?|[0-9]+)$/i.test(String(spec.runAsUser))) problems.push(invalidValue('spec.runAsUser', spec.runAsUser, 'must be the name or the number of a user'));
  problems.push(...resourceProblems(spec));
  if (spec.nodeName) {
    const problem = subdomainProblem(spec.nodeName);
    if (problem) problems.push(invalidValue('spec.nodeName', spec.nodeName, problem));
  }
  for (const problem of labelsProblems(spec.nodeSelector, 'spec.nodeSelector')) problems.push(problem);
  (spec.tolerations ?? []).forEach((toleration, index) => problems.push(...tolerationProblems(toleration, `spec.tolerations[${index}]`)));
  return problems;
}

function envProblems(variable: EnvVar, field: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const nameProblem = environmentNameProblem(variable.name);
  if (nameProblem) problems.push(invalidValue(`${field}.name`, variable.name, nameProblem));
  const from = variable.valueFrom;
  if (!from) return problems;
  if (variable.value) problems.push(forbiddenField(`${field}.valueFrom`, 'may not be used when value is not empty'));
  const sources = [from.secretKeyRef, from.configMapKeyRef, from.fieldRef].filter(Boolean);
  if (sources.length !== 1) problems.push(invalidValue(`${field}.valueFrom`, Object.keys(from).sort().join(','), 'must have exactly one of secretKeyRef, configMapKeyRef and fieldRef'));
  for (const [key, ref] of Object.entries({ secretKeyRef: from.secretKeyRef, configMapKeyRef: from.configMapKeyRef })) {
    const keyProblem = ref && configKeyProblem(ref.key);
    if (keyProblem) problems.push(invalidValue(`${field}.valueFrom.${key}.key`, ref.key, keyProblem));
    const refNameProblem = ref && subdomainProblem(ref.name);
    if (refNameProblem) problems.push(invalidValue(`${field}.valueFrom.${key}.name`, ref.name, refNameProblem));
  }
  if (from.fieldRef && !fieldRefPaths.test(from.fieldRef.fieldPath)) {
    problems.push(
      notSupported(`${field}.valueFrom.fieldRef.fieldPath`, from.fieldRef.fieldPath, [
        'metadata.name', 'metadata.namespace', 'metadata.uid', "metadata.labels['KEY']", "metadata.annotations['KEY']", 'status.nodeName', 'status.attempt',
      ]),
    );
  }
  return problems;
}

function resourceProblems(spec: TaskSpec): FieldProblem[] {
  const problems: FieldProblem[] = [];
  for (const part of ['requests', 'limits'] as const) {
    for (const [name, amount] of Object.entries(spec.resources?.[part] ?? {})) {
      const field = `spec.resources.${part}[${name}]`;
      const nameProblem = qualifiedNameProblem(name);
      if (nameProblem) problems.push(invalidValue(field, name, nameProblem));
      const milli = parseMilli(amount);
      if (milli === undefined) problems.push(invalidValue(field, amount, quantityHelp));
      else if (milli < 0) problems.push(invalidValue(field, amount, 'must be greater than or equal to 0'));
      else if (part === 'requests') {
        const limit = spec.resources?.limits?.[name];
        const limitMilli = limit === undefined ? undefined : parseMilli(limit);
        if (limitMilli !== undefined && milli > limitMilli) problems.push(invalidValue(field, amount, `must be less than or equal to the ${name} limit of ${limit}`));
      }
    }
  }
  return problems;
}

function tolerationProblems(toleration: Toleration, field: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (toleration.key) {
    const problem = qualifiedNameProblem(toleration.key);
    if (problem) problems.push(invalidValue(`${field}.key`, toleration.key, problem));
  } else if (toleration.operator !== 'Exists') {
    problems.push(invalidValue(`${field}.operator`, toleration.operator ?? 'Equal', 'must be Exists when key is empty, which means "match all values and all keys"'));
  }
  if (toleration.operator === 'Exists' && toleration.value) problems.push(invalidValue(`${field}.operator`, 'Exists', 'value must be empty when operator is Exists'));
  return problems;
}

/** Once a task is bound, only these parts of its spec may change: what an agent can take up while the task runs. */
const mutableWhenBound = new Set<keyof TaskSpec>([
  'restartPolicy', 'backoffLimit', 'activeDeadlineSeconds', 'terminationGracePeriodSeconds', 'ttlSecondsAfterFinished', 'priority', 'tolerations',
]);

function validateUpdate(task: Task, old: Task): FieldProblem[] {
  if (!old.status?.nodeName && !isFinished(old)) return [];
  const problems: FieldProblem[] = [];
  const fields = new Set([...Object.keys(task.spec), ...Object.keys(old.spec)]) as Set<keyof TaskSpec>;
  for (const field of fields) {
    if (dequal(task.spec[field], old.spec[field])) continue;
    if (!mutableWhenBound.has(field)) {
      problems.push(forbiddenField(`spec.${field}`, `may not change once the task is bound to a node (${old.status?.nodeName || 'it has finished'}); delete the task and create it again`));
    }
  }
  const kept = (task.spec.tolerations ?? []).slice(0, old.spec.tolerations?.length ?? 0);
  if (!dequal(kept, old.spec.tolerations ?? [])) problems.push(forbiddenField('spec.tolerations', 'existing tolerations may not change once the task is bound to a node; only add to the end of the list'));
  return problems;
}

/** What the STATUS column says: the reason where it tells more than the phase. */
export function displayStatus(task: Task): string {
  const { phase = 'Pending', reason } = task.status ?? {};
  if (task.metadata.deletionTimestamp) return 'Terminating';
  if (task.status?.eviction && !isFinished(task)) return 'Evicting';
  if (phase === 'Failed' && reason && reason !== 'Error') return reason;
  if (phase === 'Scheduled' && reason === 'BackOff') return reason;
  return phase;
}

function duration(task: Task, now: number): string {
  const start = parseTimestamp(task.status?.startTime);
  if (start === undefined) return '';
  return humanDuration((parseTimestamp(task.status?.finishTime) ?? now) - start);
}

export const taskKind: KindDefinition<Task> = {
  group: 'taskplane.dev',
  version: 'v1',
  kind: 'Task',
  plural: 'tasks',
  singular: 'task',
  shortNames: ['tk'],
  categories: ['all'],
  namespaced: true,
  description: 'A Task is one command, run to completion or kept running as a process on one node.',
  schema: new ObjectSchema(TaskObject),
  statusSubresource: true,
  nameProblem: subdomainProblem,
  applyDefaults(task) {
    const resources = task.spec.resources;
    if (!resources?.limits) return;
    resources.requests = { ...resources.limits, ...resources.requests };
  },
  validate,
  validateUpdate,
  selectableFields: {
    'spec.nodeName': (task) => task.spec.nodeName ?? '',
    'status.nodeName': (task) => task.status?.nodeName ?? '',
    'status.phase': (task) => task.status?.phase ?? '',
    'status.settled': (task) => String(isSettled(task)),
  },
  columns: [
    nameColumn,
    { name: 'Status', type: 'string', priority: 0, description: 'Phase of the task, or why it failed or waits.', cell: displayStatus },
    { name: 'Node', type: 'string', priority: 0, description: 'Node that the task is bound to.', cell: (task) => task.status?.nodeName || '<none>' },
    { name: 'Attempt', type: 'integer', priority: 0, description: 'Number of the current attempt.', cell: (task) => task.status?.attempt ?? 0 },
    { name: 'Exit', type: 'string', priority: 0, description: 'Exit code of the current attempt.', cell: (task) => (task.status?.exitCode === undefined ? '' : String(task.status.exitCode)) },
    { name: 'Duration', type: 'string', priority: 0, description: 'How long the current attempt has run or ran.', cell: duration },
    { ...ageColumn, cell: (task, now) => age(task.metadata.creationTimestamp, now) },
    { name: 'Priority', type: 'integer', priority: 1, description: 'Priority of the task.', cell: (task) => task.spec.priority ?? 0 },
    { name: 'CPU', type: 'string', priority: 1, description: 'CPU requested.', cell: (task) => String(task.spec.resources?.requests?.['cpu'] ?? '') },
    { name: 'Memory', type: 'string', priority: 1, description: 'Memory requested.', cell: (task) => String(task.spec.resources?.requests?.['memory'] ?? '') },
    { name: 'Command', type: 'string', priority: 1, description: 'What it runs.', cell: (task) => commandText(task.spec) },
    { name: 'Message', type: 'string', priority: 1, description: 'Why the task is in this phase.', cell: (task) => task.status?.message ?? '' },
  ],
};

const commandTextLengthMax = 40;

function commandText(spec: TaskSpec): string {
  const text = spec.script !== undefined ? spec.script.trim().split('\n')[0]! : [...(spec.command ?? []), ...(spec.args ?? [])].join(' ');
  return text.length > commandTextLengthMax ? `${text.slice(0, commandTextLengthMax - 1)}…` : text;
}

export type TaskResourceList = Static<typeof ResourceList>;
