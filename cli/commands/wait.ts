// wait.ts: ends when objects are as asked for, and says by its exit code whether that is good.
//
//   --for=finished        task Succeeded (0) or Failed (1)
//   --for=running         task runs, or has run: a short task may end before anyone looks
//   --for=deleted         the object is gone
//   --for=condition=X[=V] condition X is V (True when not said)
//   --for=jsonpath is kubectl's; not here

import { conditionIs } from '../../api/conditions.js';
import type { Condition, KubeObject } from '../../api/meta.js';
import { isFinished, type Task } from '../../api/task.js';
import type { KindDefinition } from '../../api/kind.js';
import { notFound, qualifiedPlural } from '../../api/errors.js';
import type { CommandContext } from '../context.js';
import { CliError, failureText } from '../failure.js';
import { waitUntil } from '../follow-object.js';
import { objectTitle, readResourceArgs } from '../resource-args.js';

export interface WaitOptions {
  for: string;
  /** Milliseconds; negative: for ever. */
  timeoutMs: number;
  selector?: string;
  all?: boolean;
  allNamespaces?: boolean;
}

export type Verdict = { met: false } | { met: true; ok: boolean; text: string };

export async function wait(context: CommandContext, args: readonly string[], options: WaitOptions): Promise<number> {
  const judge = judgeOf(options.for);
  const targets = await targetsOf(context, args, options);
  if (targets.length === 0) throw new CliError('no matching resources found');
  const timeout = new AbortController();
  const timer = options.timeoutMs >= 0 ? context.clock.timer(options.timeoutMs, () => timeout.abort()) : undefined;
  const signal = AbortSignal.any([context.signal, timeout.signal]);
  try {
    const codes = await Promise.all(targets.map((target) => waitForOne({ ...context, signal }, target, judge, options)));
    return context.signal.aborted ? 130 : Math.max(...codes);
  } finally {
    timer?.cancel();
  }
}

interface Target {
  kind: KindDefinition;
  name: string;
  namespace: string | undefined;
}

async function waitForOne(context: CommandContext, { kind, name, namespace }: Target, judge: (object: KubeObject | undefined) => Verdict, options: WaitOptions): Promise<number> {
  const { client, clock, random, signal, io } = context;
  let verdict: Verdict = { met: false };
  let missing = false;
  await waitUntil({ client, kind, name, namespace, clock, random, signal }, (object) => {
    verdict = judge(object);
    missing = object === undefined && !verdict.met;
    return verdict.met || missing;
  });
  const settled = verdict as Verdict;
  if (settled.met) {
    io.out.write(`${objectTitle(kind, name)} ${settled.text}\n`);
    return settled.ok ? 0 : 1;
  }
  if (missing) io.err.write(`${failureText(notFound(kind, name))}\n`);
  else if (options.timeoutMs === 0) io.err.write(`error: ${objectTitle(kind, name)}: not ${options.for}\n`);
  else io.err.write(`error: timed out waiting for ${options.for} on ${qualifiedPlural(kind)}/${name}\n`);
  return 1;
}

async function targetsOf(context: CommandContext, args: readonly string[], options: WaitOptions): Promise<Target[]> {
  const targets: Target[] = [];
  for (const { kind, name } of await readResourceArgs(context.client, args)) {
    const namespace = kind.namespaced ? context.namespace : undefined;
    if (name !== undefined) {
      targets.push({ kind, name, namespace });
      continue;
    }
    if (!options.selector && !options.all) throw new CliError('name what to wait for, or give -l SELECTOR or --all');
    const list = await context.client.list(kind, { namespace: options.allNamespaces ? undefined : namespace, labelSelector: options.selector });
    targets.push(...list.items.map(({ metadata }) => ({ kind, name: metadata.name!, namespace: metadata.namespace })));
  }
  return targets;
}

/** @throws CliError when the words after --for mean nothing */
export function judgeOf(words: string): (object: KubeObject | undefined) => Verdict {
  const condition = /^condition=([^=]+)(?:=(.*))?$/s.exec(words);
  if (condition) return judgeCondition(condition[1]!, condition[2] ?? 'True');
  switch (words.toLowerCase()) {
    case 'delete':
    case 'deleted':
      return (object) => (object === undefined ? { met: true, ok: true, text: 'condition met' } : { met: false });
    case 'finished':
      return (object) => (object && isFinished(object as Task) ? finished(object as Task) : { met: false });
    case 'running':
      return (object) => {
        if (!object) return { met: false };
        const { phase, startTime, lastAttempt } = (object as Task).status ?? {};
        if (phase === 'Running' || startTime || lastAttempt?.startTime) return { met: true, ok: true, text: 'condition met' };
        return isFinished(object as Task) ? { ...finished(object as Task), ok: false } : { met: false };
      };
    default:
      throw new CliError(`unrecognized condition: "${words}"; expected finished, running, deleted or condition=NAME[=VALUE]`);
  }
}

function judgeCondition(type: string, value: string): (object: KubeObject | undefined) => Verdict {
  return (object) => {
    const conditions = (object?.status as { conditions?: Condition[] } | undefined)?.conditions;
    const named = conditions?.find((candidate) => candidate.type.toLowerCase() === type.toLowerCase());
    const is = named !== undefined && (conditionIs(conditions, named.type, value as Condition['status']) || named.status.toLowerCase() === value.toLowerCase());
    return is ? { met: true, ok: true, text: 'condition met' } : { met: false };
  };
}

export function finished(task: Task): { met: true; ok: boolean; text: string } {
  const { phase, exitCode, reason, message } = task.status ?? {};
  if (phase === 'Succeeded') return { met: true, ok: true, text: 'succeeded' };
  const why = [reason && reason !== 'Error' ? reason : undefined, exitCode === undefined ? undefined : `exit code ${exitCode}`].filter(Boolean).join(', ');
  const more = message && !why.endsWith(message) ? ` (${message})` : '';
  return { met: true, ok: false, text: `failed${why ? `: ${why}` : ''}${more}` };
}
