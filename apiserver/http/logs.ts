// logs.ts: GET …/tasks/NAME/log and …/pods/NAME/log, fetched from the agent that has the log.

import { ApiError, badRequest, isReason, isStatusReason, notFound, type Status } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { LogTunnelRequest } from '../../api/protocol.js';
import { taskKind, type Task } from '../../api/task.js';
import { podContainerName } from '../../api/pod.js';
import { sleep, type Clock } from '../../lib/clock.js';
import type { MuxStream } from '../../lib/mux.js';
import type { Caller, ResourceService } from '../resources/service.js';
import { logQuery, type LogQuery } from './log-query.js';
import type { ReplyOutput, ServerReply, ServerRequest } from './message.js';
import type { Tunnels } from './tunnels.js';

/** Bytes that wait for the client before we stop reading from the agent. */
const bufferedBytesMax = 256 * 1024;
/** A log that is followed may stay silent: after this long without a word from the agent the reply begins anyway. */
const firstWordMs = 1_000;

export class Logs {
  readonly #resources: ResourceService;
  readonly #tunnels: Tunnels;
  readonly #clock: Clock;

  constructor(options: { resources: ResourceService; tunnels: Tunnels; clock: Clock }) {
    this.#resources = options.resources;
    this.#tunnels = options.tunnels;
    this.#clock = options.clock;
  }

  /**
   * @param as the kind that the client asks about: tasks, or pods
   * @throws ApiError
   */
  async handle(caller: Caller, as: KindDefinition, namespace: string, name: string, request: ServerRequest): Promise<ServerReply> {
    const query = logQuery(request.query, name);
    const task = await this.#task(caller, as, namespace, name);
    const source = logSource(task, query);
    const stream = this.#tunnels.open(source.nodeName, tunnelRequest(task, source.attempt, query));
    const gone = (): void => stream.reset('the client went away');
    request.signal.addEventListener('abort', gone, { once: true });
    const chunks = stream[Symbol.asyncIterator]();
    try {
      const first = chunks.next();
      // A rejection after the reply has begun is met again when the body awaits it.
      first.catch(() => undefined);
      const waited = new AbortController();
      await Promise.race([first, sleep(this.#clock, firstWordMs, waited.signal)]).finally(() => waited.abort());
      const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache, private', 'x-content-type-options': 'nosniff' };
      if (request.method === 'HEAD') {
        request.signal.removeEventListener('abort', gone);
        stream.reset('only asked whether there is a log');
        return { status: 200, headers, body: '' };
      }
      const body = (output: ReplyOutput): Promise<void> =>
        copy(first, chunks, output, stream).finally(() => request.signal.removeEventListener('abort', gone));
      return { status: 200, headers, body };
    } catch (error) {
      stream.reset('the log could not be read');
      request.signal.removeEventListener('abort', gone);
      throw agentError(error, name);
    }
  }

  async #task(caller: Caller, as: KindDefinition, namespace: string, name: string): Promise<Task> {
    try {
      return (await this.#resources.get(caller, { kind: taskKind, namespace, name })).object as Task;
    } catch (error) {
      throw isReason(error, 'NotFound') ? notFound(as, name) : error;
    }
  }
}

async function copy(first: Promise<IteratorResult<Buffer>>, chunks: AsyncIterator<Buffer>, output: ReplyOutput, stream: MuxStream): Promise<void> {
  const gone = (): void => stream.reset('the client went away');
  if (output.signal.aborted) gone();
  output.signal.addEventListener('abort', gone, { once: true });
  try {
    for (let next = await first; !next.done; next = await chunks.next()) {
      output.write(next.value);
      if (output.bufferedBytes > bufferedBytesMax) await output.drained();
    }
    output.end();
  } finally {
    output.signal.removeEventListener('abort', gone);
    stream.reset('done');
  }
}

/**
 * Where the log is that was asked for. Pure.
 * @throws ApiError BadRequest when there can be none
 */
export function logSource(task: Task, query: LogQuery): { nodeName: string; attempt: number | undefined } {
  const status = task.status ?? {};
  const name = task.metadata.name ?? '';
  const last = status.lastAttempt;
  if (query.previous) {
    // Restarts stay on their node, so an attempt that names none ran where the task is now.
    const nodeName = last?.nodeName ?? status.nodeName;
    if (!last || !nodeName) throw badRequest(`previous terminated container "${podContainerName}" in pod "${name}" not found: task "${name}" has no attempt before the current one`);
    return { nodeName, attempt: last.attempt };
  }
  if (query.attempt !== undefined) {
    const current = status.attempt ?? 0;
    if (query.attempt > current) throw badRequest(`task "${name}" has made ${current === 0 ? 'no attempt' : `${current} attempt${current === 1 ? '' : 's'}`} yet`);
    const nodeName = query.attempt === last?.attempt && last.nodeName ? last.nodeName : (status.nodeName ?? last?.nodeName);
    if (nodeName) return { nodeName, attempt: query.attempt };
  }
  if (!status.nodeName && last?.nodeName) return { nodeName: last.nodeName, attempt: last.attempt };
  const waiting = status.phase === 'Scheduled' && !status.startTime && !status.firstStartTime && !last;
  if (!status.nodeName || waiting) {
    const why = status.conditions?.find((condition) => condition.type === 'Scheduled' && condition.status === 'False')?.message;
    throw badRequest(`container "${podContainerName}" in pod "${name}" is waiting to start: its task has not started, so it has no log yet: it is ${status.phase ?? 'Pending'}${why ? ` (${why})` : ''}`);
  }
  return { nodeName: status.nodeName, attempt: undefined };
}

function tunnelRequest(task: Task, attempt: number | undefined, query: LogQuery): LogTunnelRequest {
  const { attempt: _asked, previous: _resolved, ...rest } = query;
  const { namespace = '', name = '', uid = '' } = task.metadata;
  return { type: 'log', namespace, name, uid, previous: false, ...rest, ...(attempt === undefined ? {} : { attempt }) };
}

/** An agent refuses by resetting the stream: with a Status in JSON, or with a sentence. */
function agentError(error: unknown, name: string): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  try {
    const status = JSON.parse(message) as Partial<Status> | null;
    // Of what it claims only that is taken which can do no harm in a reply.
    if (status?.kind === 'Status' && isStatusReason(status.reason) && typeof status.message === 'string') return new ApiError(status.reason, status.message);
  } catch {
    // A sentence, then.
  }
  return new ApiError('ServiceUnavailable', `the log of task "${name}" could not be read from its node: ${message}`, undefined, { cause: error });
}
