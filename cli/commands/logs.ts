// logs.ts: what a task's command wrote. With -f, from its start to its end, over all its attempts.

import { isReason } from '../../api/errors.js';
import { isFinished, taskKind, type Task } from '../../api/task.js';
import type { KindDefinition } from '../../api/kind.js';
import type { LogQuery } from '../../client/api-client.js';
import type { CommandContext } from '../context.js';
import { CliError } from '../failure.js';
import { waitUntil } from '../follow-object.js';
import { parseResourceArgs } from '../resource-args.js';

export interface LogsOptions {
  follow?: boolean;
  previous?: boolean;
  /** Only so many of the last lines; -1 is all. */
  tail?: number;
  limitBytes?: number;
}

export const tasks = taskKind as unknown as KindDefinition;

export async function logs(context: CommandContext, argument: string, options: LogsOptions): Promise<number> {
  const [selection] = argument.includes('/') ? parseResourceArgs([argument]) : [{ kind: tasks, name: argument }];
  if (!selection?.name || !['Task', 'Pod'].includes(selection.kind.kind)) throw new CliError(`only tasks have logs; give the name of a task instead of ${argument}`);
  const { name } = selection;
  const { client, namespace, signal } = context;
  const query: LogQuery = {
    ...(options.previous ? { previous: true } : {}),
    ...(options.tail !== undefined && options.tail >= 0 ? { tailLines: options.tail } : {}),
    ...(options.limitBytes !== undefined ? { limitBytes: options.limitBytes } : {}),
  };
  if (options.follow && !options.previous) {
    await client.get(tasks, name, namespace);
    await followAttempts(context, name, query);
    return 0;
  }
  const task = (await client.get(tasks, name, namespace)) as unknown as Task;
  if (options.previous && (task.status?.attempt ?? 0) < 2) throw new CliError(`task "${name}" has no attempt before the current one (${task.status?.attempt ?? 0})`);
  if (!options.previous && !task.status?.attempt) {
    throw new CliError(`task "${name}" has not started: ${whyNotStarted(task)}; -f waits for it`);
  }
  await copy(context, await client.log(namespace, name, query, signal));
  return 0;
}

/**
 * Copies the output of each attempt as it comes, from the current one, until the task has finished or is gone.
 * Resolves with its last state.
 */
export async function followAttempts(context: CommandContext, name: string, query: LogQuery = {}, uid?: string): Promise<Task | undefined> {
  const { client, namespace, signal, clock, random } = context;
  const followed = { client, kind: tasks, name, namespace, signal, clock, random };
  let shown = 0;
  let first = query;
  for (;;) {
    const told = await waitUntil(followed, (object) => {
      const task = object as unknown as Task | undefined;
      if (!task || (uid !== undefined && task.metadata.uid !== uid)) return true;
      const { attempt = 0, startTime } = task.status ?? {};
      return isFinished(task) || (attempt > shown && startTime !== undefined);
    });
    const task = told?.object as unknown as Task | undefined;
    if (!task || (uid !== undefined && task.metadata.uid !== uid)) return undefined;
    const attempt = task.status?.attempt ?? 0;
    if (attempt > shown && task.status?.startTime) {
      try {
        await copy(context, await client.log(namespace, name, { ...first, follow: true, attempt }, signal));
      } catch (error) {
        // The task may end and go (--rm, a TTL, another's delete) while its log is read.
        if (!isReason(error, 'NotFound')) throw error;
      }
      shown = attempt;
      first = {};
    }
    if (isFinished(task) || signal.aborted) return task;
  }
}

async function copy({ io, signal }: CommandContext, chunks: AsyncIterable<Buffer>): Promise<void> {
  try {
    for await (const chunk of chunks) io.out.write(chunk);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function whyNotStarted(task: Task): string {
  const scheduled = task.status?.conditions?.find((condition) => condition.type === 'Scheduled');
  return scheduled?.message || task.status?.message || `it is ${task.status?.phase ?? 'Pending'}`;
}
