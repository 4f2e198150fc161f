// run.ts: submits one command as a task, shows what it writes, and ends as it ends.
//
// Ctrl-C asks the task to stop (it is deleted, with its grace period) and its last words are still shown; a second
// Ctrl-C kills it. Both end with 130, as a command in a shell does. With --detach nothing is waited for.

import { isReason } from '../../api/errors.js';
import { apiVersionOf } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { applyDefaults, objectProblems } from '../../api/validation.js';
import { taskKind, type Task, type TaskSpec } from '../../api/task.js';
import type { CommandContext } from '../context.js';
import { CliError } from '../failure.js';
import { objectsText, type ObjectFormat } from '../print/objects.js';
import { objectTitle } from '../resource-args.js';
import { followAttempts, tasks } from './logs.js';
import { finished } from './wait.js';

export interface RunOptions {
  cpu?: string;
  memory?: string;
  /** NAME=AMOUNT of other resources. */
  request?: string[];
  env?: string[];
  label?: string[];
  nodeSelector?: string[];
  node?: string;
  priority?: number;
  restart?: string;
  attempts?: number;
  deadline?: number;
  ttl?: number;
  user?: string;
  workdir?: string;
  shell?: boolean;
  rm?: boolean;
  detach?: boolean;
  dryRun?: 'none' | 'client' | 'server';
  output?: ObjectFormat | 'name';
}

export interface Interrupts {
  /** Calls `handler` on each Ctrl-C or SIGTERM, from 1; the process is then not ended by it. */
  onInterrupt(handler: (count: number) => void): void;
}

export async function run(context: CommandContext, name: string, command: readonly string[], options: RunOptions, interrupts: Interrupts): Promise<number> {
  const { io, client } = context;
  const task = taskOf(name, command, options, context.namespace);
  const complete = structuredClone(task);
  applyDefaults(tasks, complete);
  const problems = objectProblems(tasks, complete);
  if (problems.length > 0) throw new CliError(problems.map(({ field, message }) => `${field}: ${message}`).join('\n'));
  const dry = options.dryRun === 'client' || options.dryRun === 'server';
  const created = options.dryRun === 'client' ? task : ((await client.create(tasks, task, { dryRun: dry, fieldManager: 'taskplane-run', fieldValidation: 'Strict' })) as unknown as Task);
  if (options.output === 'json' || options.output === 'yaml') io.out.write(objectsText([created], options.output, false));
  if (dry || options.detach) {
    if (!options.output || options.output === 'name') io.out.write(options.output === 'name' ? `${objectTitle(tasks, name)}\n` : `${objectTitle(tasks, name)} created${dry ? ' (dry run)' : ''}\n`);
    return 0;
  }
  return attend(context, created, options, interrupts);
}

/** Shows the task's output until it ends. Returns its exit code. */
async function attend(context: CommandContext, created: Task, options: RunOptions, interrupts: Interrupts): Promise<number> {
  const { io, client, namespace } = context;
  const name = created.metadata.name!;
  const uid = created.metadata.uid;
  let interrupted = 0;
  const remove = async (gracePeriodSeconds?: number): Promise<void> => {
    await client.delete(tasks, name, namespace, { gracePeriodSeconds, preconditions: uid ? { uid } : undefined }).catch((error: unknown) => {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    });
  };
  let removal = Promise.resolve();
  const killed = new AbortController();
  interrupts.onInterrupt((count) => {
    interrupted = count;
    if (count === 1) io.err.write(`\nstopping ${objectTitle(tasks, name)}; once more to kill it\n`);
    if (count > 2) killed.abort();
    removal = removal.then(() => remove(count === 1 ? undefined : 0));
  });
  const last = await followAttempts({ ...context, signal: AbortSignal.any([context.signal, killed.signal]) }, name, {}, uid);
  await removal;
  if (interrupted > 0) return 130;
  if (!last) {
    io.err.write(`error: task "${name}" was deleted before it finished\n`);
    return 1;
  }
  if (options.rm) await remove();
  const verdict = finished(last);
  if (verdict.ok) return 0;
  const { exitCode } = last.status ?? {};
  if (exitCode === undefined || exitCode === 0 || last.status?.reason !== 'Error') io.err.write(`task "${name}" ${verdict.text}\n`);
  return exitCode || 1;
}

/** @throws CliError for flags that cannot be read */
export function taskOf(name: string, command: readonly string[], options: RunOptions, namespace: string): Task {
  if (command.length === 0) throw new CliError('say what to run after --: taskplane run NAME -- CMD ARGS');
  const requests = { ...(options.cpu ? { cpu: options.cpu } : {}), ...(options.memory ? { memory: options.memory } : {}), ...pairs(options.request, '--request') };
  const spec: TaskSpec = {
    ...(options.shell ? { script: command.join(' ') } : { command: [...command] }),
    ...(options.env?.length ? { env: options.env.map(envOf) } : {}),
    ...(Object.keys(requests).length > 0 ? { resources: { requests } } : {}),
    ...(options.workdir ? { workingDir: options.workdir } : {}),
    ...(options.user ? { runAsUser: options.user } : {}),
    ...(options.restart ? { restartPolicy: options.restart } : {}),
    ...(options.attempts !== undefined ? { backoffLimit: options.attempts } : {}),
    ...(options.deadline !== undefined ? { activeDeadlineSeconds: options.deadline } : {}),
    ...(options.ttl !== undefined ? { ttlSecondsAfterFinished: options.ttl } : {}),
    ...(options.priority !== undefined ? { priority: options.priority } : {}),
    ...(options.node ? { nodeName: options.node } : {}),
    ...(options.nodeSelector?.length ? { nodeSelector: pairs(options.nodeSelector, '--node-selector') } : {}),
  };
  const labels = pairs(options.label, '--label');
  const object: KubeObject = {
    apiVersion: apiVersionOf(taskKind),
    kind: taskKind.kind,
    metadata: { name, namespace, ...(Object.keys(labels).length > 0 ? { labels } : {}) },
    spec,
  };
  return object as Task;
}

function envOf(text: string): { name: string; value: string } {
  const at = text.indexOf('=');
  if (at < 1) throw new CliError(`--env ${text}: expected NAME=VALUE`);
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

function pairs(texts: readonly string[] | undefined, flag: string): Record<string, string> {
  const entries = (texts ?? []).flatMap((text) => text.split(',')).map((text): [string, string] => {
    const at = text.indexOf('=');
    if (at < 1) throw new CliError(`${flag} ${text}: expected KEY=VALUE`);
    return [text.slice(0, at), text.slice(at + 1)];
  });
  return Object.fromEntries(entries);
}
