// logs.ts: what the commands of tasks wrote. With -f, from its start to its end, over all its attempts.

import { isReason } from '../../api/errors.js';
import { isFinished, taskKind, type Task } from '../../api/task.js';
import type { KindDefinition } from '../../api/kind.js';
import type { LogQuery } from '../../client/api-client.js';
import type { CommandContext } from '../context.js';
import { parseDurationMs } from '../duration.js';
import { CliError, failureText } from '../failure.js';
import { waitUntil } from '../follow-object.js';
import { parseResourceArgs } from '../resource-args.js';

export interface LogsOptions {
  follow?: boolean;
  previous?: boolean;
  /** Only so many of the last lines; -1 is all. */
  tail?: number;
  limitBytes?: number;
  timestamps?: boolean;
  since?: string;
  /** RFC 3339. */
  sinceTime?: string;
  selector?: string;
  prefix?: boolean;
  allPods?: boolean;
  ignoreErrors?: boolean;
  maxLogRequests?: number;
}

export const tasks = taskKind as unknown as KindDefinition;

/** What kubectl takes for a selector, unless --tail says otherwise. */
const selectedTailLines = 10;
const maxLogRequestsDefault = 5;
/** A line longer than this is shown in pieces when several logs are shown at once. */
const lineBytesMax = 64 * 1024;

interface Shown {
  name: string;
  query: LogQuery;
  /** Where the log goes; standard output when absent. */
  write?(chunk: Buffer): void;
}

export async function logs(context: CommandContext, argument: string | undefined, options: LogsOptions): Promise<number> {
  if (options.selector !== undefined) return logsOfSelected(context, argument, options);
  if (argument === undefined) throw new CliError('say whose log: NAME or task/NAME, or -l SELECTOR for several');
  const [selection] = argument.includes('/') ? parseResourceArgs([argument]) : [{ kind: tasks, name: argument }];
  if (!selection?.name || !['Task', 'Pod'].includes(selection.kind.kind)) throw new CliError(`only tasks have logs; give the name of a task instead of ${argument}`);
  const { name } = selection;
  const shown: Shown = { name, query: queryOf(options), ...(options.prefix || options.allPods ? { write: prefixed(context, name) } : {}) };
  await forgiving(context, options, () => show(context, shown, options));
  return 0;
}

async function logsOfSelected(context: CommandContext, argument: string | undefined, options: LogsOptions): Promise<number> {
  if (argument !== undefined) throw new CliError('only a selector (-l) or a TASK name is allowed');
  const { client, namespace, io } = context;
  const { items } = await client.list(tasks, { namespace, labelSelector: options.selector });
  if (items.length === 0) {
    io.err.write(`No resources found in ${namespace} namespace.\n`);
    return 0;
  }
  const max = options.maxLogRequests ?? maxLogRequestsDefault;
  if (options.follow && items.length > max) {
    throw new CliError(`you are attempting to follow ${items.length} log streams, but maximum allowed concurrency is ${max}, use --max-log-requests to increase the limit`);
  }
  const query = queryOf({ ...options, tail: options.tail ?? selectedTailLines });
  const showOne = ({ metadata: { name = '' } }: { metadata: { name?: string } }): Promise<void> => {
    const write = options.prefix || options.allPods ? prefixed(context, name) : items.length > 1 ? wholeLines(context) : undefined;
    return forgiving(context, options, () => show(context, { name, query, ...(write ? { write } : {}) }, options));
  };
  if (options.follow && !options.previous) await Promise.all(items.map(showOne));
  else for (const item of items) await showOne(item);
  return 0;
}

function queryOf(options: LogsOptions): LogQuery {
  const { since, sinceTime } = options;
  if (since !== undefined && sinceTime !== undefined) throw new CliError('at most one of `sinceTime` or `sinceSeconds` may be specified');
  const sinceMs = since === undefined ? 0 : parseDurationMs(since);
  if (sinceMs < 0) throw new CliError('--since must be greater than 0');
  if (sinceTime !== undefined && Number.isNaN(Date.parse(sinceTime))) throw new CliError(`--since-time ${sinceTime}: expected an RFC 3339 time such as 2026-01-31T12:00:00Z`);
  return {
    ...(options.previous ? { previous: true } : {}),
    ...(options.timestamps ? { timestamps: true } : {}),
    ...(options.tail !== undefined && options.tail >= 0 ? { tailLines: options.tail } : {}),
    ...(options.limitBytes !== undefined ? { limitBytes: options.limitBytes } : {}),
    ...(sinceMs > 0 ? { sinceSeconds: Math.ceil(sinceMs / 1_000) } : {}),
    ...(sinceTime === undefined ? {} : { sinceTime }),
  };
}

async function forgiving({ io }: CommandContext, { ignoreErrors }: LogsOptions, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!ignoreErrors) throw error;
    io.err.write(`${failureText(error)}\n`);
  }
}

async function show(context: CommandContext, { name, query, write }: Shown, options: LogsOptions): Promise<void> {
  const { client, namespace, signal } = context;
  const task = (await client.get(tasks, name, namespace)) as unknown as Task;
  if (options.follow && !options.previous) {
    await followAttempts(context, name, query, undefined, write);
    return;
  }
  if (options.previous && (task.status?.attempt ?? 0) < 2) throw new CliError(`task "${name}" has no attempt before the current one (${task.status?.attempt ?? 0})`);
  if (!options.previous && !task.status?.attempt) {
    throw new CliError(`task "${name}" has not started: ${whyNotStarted(task)}; -f waits for it`);
  }
  await copy(context, await client.log(namespace, name, query, signal), write);
}

function prefixed(context: CommandContext, name: string): (chunk: Buffer) => void {
  return wholeLines(context, `[task/${name}] `);
}

/** Writes line by line, so that the lines of several logs do not mix; an empty chunk says that the log is over. */
function wholeLines({ io }: CommandContext, prefix = ''): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  const mark = Buffer.from(prefix);
  return (chunk) => {
    const text = Buffer.concat([rest, chunk]);
    const lines: Buffer[] = [];
    let from = 0;
    for (let newline = text.indexOf(10); newline >= 0; newline = text.indexOf(10, from)) {
      lines.push(mark, text.subarray(from, newline + 1));
      from = newline + 1;
    }
    rest = text.subarray(from);
    if (rest.length > 0 && (chunk.length === 0 || rest.length > lineBytesMax)) {
      lines.push(mark, rest, Buffer.from('\n'));
      rest = Buffer.alloc(0);
    }
    if (lines.length > 0) io.out.write(Buffer.concat(lines));
  };
}

/**
 * Copies the output of each attempt as it comes, from the current one, until the task has finished or is gone.
 * Resolves with its last state.
 */
export async function followAttempts(context: CommandContext, name: string, query: LogQuery = {}, uid?: string, write?: (chunk: Buffer) => void): Promise<Task | undefined> {
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
        await copy(context, await client.log(namespace, name, { ...first, follow: true, attempt }, signal), write);
      } catch (error) {
        // The task may end and go (--rm, a TTL, another's delete) while its log is read.
        if (!isReason(error, 'NotFound')) throw error;
      }
      shown = attempt;
      first = query.timestamps ? { timestamps: true } : {};
    }
    if (isFinished(task) || signal.aborted) return task;
  }
}

async function copy({ io, signal }: CommandContext, chunks: AsyncIterable<Buffer>, write: (chunk: Buffer) => void = (chunk) => io.out.write(chunk)): Promise<void> {
  try {
    for await (const chunk of chunks) write(chunk);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    write(Buffer.alloc(0));
  }
}

function whyNotStarted(task: Task): string {
  const scheduled = task.status?.conditions?.find((condition) => condition.type === 'Scheduled');
  return scheduled?.message || task.status?.message || `it is ${task.status?.phase ?? 'Pending'}`;
}
