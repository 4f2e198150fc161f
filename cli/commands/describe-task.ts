import type { KubeObject } from '../../api/meta.js';
import { parseTimestamp } from '../../api/meta.js';
import { humanDuration } from '../../api/kind.js';
import { formatBytes } from '../../api/quantity.js';
import { attemptsMax, attemptsUsed, displayStatus, isFinished, type EnvVar, type Task, type TaskStatus } from '../../api/task.js';
import { conditionFields, mapLines, type Field } from '../print/description.js';

export function taskFields(object: KubeObject, now: number): Field[] {
  const task = object as Task;
  const { status = {} } = task;
  return [
    ['Status', displayStatus(task)],
    ['Reason', status.reason],
    ['Message', status.message],
    ['Node', status.nodeName ?? '<none>'],
    ['Attempt', attemptText(task)],
    ['Eviction', status.eviction && !isFinished(task) ? `asked for at ${status.eviction.requestedTime}, grace period ${status.eviction.gracePeriodSeconds}s (${status.eviction.reason})` : undefined],
    ['Started', status.startTime],
    ['Finished', status.finishTime],
    ['Duration', durationOf(status, now)],
    ['Exit Code', status.exitCode],
    ['Signal', status.signal],
    ['Usage', usageText(status)],
    ['Last Attempt', lastAttempt(status)],
    ['Spec', { fields: specFields(task) }],
    ...conditionFields(status.conditions),
  ];
}

/** Evicted attempts are made, but do not count against the limit. */
function attemptText({ spec, status = {} }: Task): string {
  const limit = attemptsMax(spec);
  const of = `of ${limit === Infinity ? 'any number' : limit}`;
  return status.evictions ? `${status.attempt ?? 0} (${attemptsUsed(status)} ${of}, ${status.evictions} evicted)` : `${status.attempt ?? 0} ${of}`;
}

function specFields({ spec }: Task): Field[] {
  return [
    ['Command', spec.command?.map(quoted).join(' ')],
    ['Script', spec.script?.trimEnd()],
    ['Args', spec.args?.map(quoted).join(' ')],
    ['Environment', spec.env ? { table: spec.env.map((variable) => [`${variable.name}:`, valueText(variable)]) } : undefined],
    ['Working Dir', spec.workingDir],
    ['Run As User', spec.runAsUser === undefined ? undefined : String(spec.runAsUser)],
    ['Requests', spec.resources?.requests && mapLines(spec.resources.requests, ': ')],
    ['Limits', spec.resources?.limits && mapLines(spec.resources.limits, ': ')],
    ['Restart Policy', spec.restartPolicy],
    ['Deadline', spec.activeDeadlineSeconds === undefined ? undefined : `${spec.activeDeadlineSeconds}s`],
    ['Grace Period', spec.terminationGracePeriodSeconds === undefined ? undefined : `${spec.terminationGracePeriodSeconds}s`],
    ['TTL After Finish', spec.ttlSecondsAfterFinished === undefined ? undefined : `${spec.ttlSecondsAfterFinished}s`],
    ['Priority', spec.priority],
    ['Pinned To', spec.nodeName],
    ['Node Selector', spec.nodeSelector && mapLines(spec.nodeSelector)],
    ['Tolerations', (spec.tolerations ?? []).map(({ key, operator, value, effect, tolerationSeconds }) => `${key || 'every taint'}${operator === 'Exists' ? '' : `=${value ?? ''}`}${effect ? `:${effect}` : ''}${tolerationSeconds === undefined ? '' : ` for ${tolerationSeconds}s`}`)],
    ['On Node Lost', spec.onNodeLost],
  ];
}

function valueText({ value, valueFrom }: EnvVar): string {
  if (!valueFrom) return value ?? '';
  const { secretKeyRef, configMapKeyRef, fieldRef } = valueFrom;
  if (secretKeyRef) return `<key ${secretKeyRef.key} of secret ${secretKeyRef.name}>`;
  if (configMapKeyRef) return `<key ${configMapKeyRef.key} of configmap ${configMapKeyRef.name}>`;
  return `<${fieldRef?.fieldPath ?? ''}>`;
}

function durationOf(status: TaskStatus, now: number): string | undefined {
  const start = parseTimestamp(status.startTime);
  return start === undefined ? undefined : humanDuration((parseTimestamp(status.finishTime) ?? now) - start);
}

function usageText({ usage }: TaskStatus): string | undefined {
  if (!usage) return undefined;
  const parts = [
    usage.cpuSeconds === undefined ? undefined : `${usage.cpuSeconds} s of CPU`,
    usage.memoryPeakBytes === undefined ? undefined : `${formatBytes(Math.ceil(usage.memoryPeakBytes / 1024) * 1024)} of memory at most`,
  ];
  return parts.filter(Boolean).join(', ') || undefined;
}

function lastAttempt({ lastAttempt: last }: TaskStatus): string | undefined {
  if (!last) return undefined;
  const how = [last.reason, last.exitCode === undefined ? undefined : `exit code ${last.exitCode}`, last.signal].filter(Boolean).join(', ');
  return `number ${last.attempt}${last.nodeName ? ` on ${last.nodeName}` : ''}${how ? `: ${how}` : ''}${last.finishTime ? ` at ${last.finishTime}` : ''}`;
}

/** As a shell would need it, so that it can be copied. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
