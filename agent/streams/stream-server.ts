// stream-server.ts: commands beside tasks, attached clients and forwarded ports: finds the task's running attempt, or says why there is none.

import { basename } from 'node:path';
import { ApiError } from '../../api/errors.js';
import type { AttachTunnelRequest, ExecTunnelRequest, PortForwardTunnelRequest } from '../../api/protocol.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { MuxStream } from '../../lib/mux.js';
import { busyCodes, MachineBusyError, NotRunningError, parseAttemptKey, StartError, type Execution } from '../driver.js';
import type { AttachedInput } from '../stdin.js';
import { serveAttach } from './attach-session.js';
import { serveExec } from './exec-session.js';
import { servePortForward } from './port-forward-session.js';

export type SessionRequest = ExecTunnelRequest | AttachTunnelRequest | PortForwardTunnelRequest;

export interface StreamServerOptions {
  /** What runs now of the task with this uid. */
  running(uid: string): Execution | undefined;
  /** The output of an attempt from now to its end. @param began called when it is certain what "now" is */
  output(key: string, signal: AbortSignal, began: () => void): AsyncIterable<Buffer>;
  /** @throws ApiError when the attempt takes no input */
  input(uid: string, key: string): AttachedInput;
  clock: Clock;
  logger: Logger;
  /** Sessions at once. @default 256 */
  sessionsMax?: number;
}

/** Each may hold three processes, their pipes and a few hundred kilobytes on their way. */
const defaultSessionsMax = 256;

export function isSessionRequest(request: { type: string }): request is SessionRequest {
  return request.type === 'exec' || request.type === 'attach' || request.type === 'port-forward';
}

export class StreamServer {
  readonly #options: StreamServerOptions;
  readonly #sessionsMax: number;
  #sessions = 0;

  constructor(options: StreamServerOptions) {
    this.#options = options;
    this.#sessionsMax = options.sessionsMax ?? defaultSessionsMax;
  }

  /** Resolves when the session is over and nothing of it is left. @throws ApiError when it cannot begin */
  async serve(stream: MuxStream, request: SessionRequest): Promise<void> {
    if (this.#sessions >= this.#sessionsMax) {
      throw new ApiError('TooManyRequests', `the agent of the task's node serves ${this.#sessions} commands, attached clients and forwarded ports already; end some of them and try again`);
    }
    this.#sessions++;
    try {
      await this.#serve(stream, request, this.#find(request));
    } catch (error) {
      throw refusal(request, error);
    } finally {
      this.#sessions--;
    }
  }

  #find(request: SessionRequest): Execution {
    const execution = this.#options.running(request.uid);
    if (!execution) throw new NotRunningError('no attempt of it runs on its node now');
    if (request.attempt !== undefined && parseAttemptKey(execution.key)?.attempt !== request.attempt) throw new NotRunningError(`its attempt ${request.attempt} has ended`);
    return execution;
  }

  async #serve(stream: MuxStream, request: SessionRequest, execution: Execution): Promise<void> {
    const { clock, logger } = this.#options;
    const task = `${request.namespace}/${request.name}`;
    switch (request.type) {
      case 'exec':
        if (!Array.isArray(request.command) || !request.command[0]) throw new ApiError('BadRequest', 'you must specify at least one command for the container');
        // Not the arguments: people pass passwords.
        logger.info('running a command beside a task', { task, program: basename(request.command[0]), tty: request.tty });
        return serveExec(stream, request, execution, clock);
      case 'attach': {
        logger.info('a client attaches to a task', { task, stdin: request.stdin });
        const over = new AbortController();
        void stream.closed.then(() => over.abort());
        const input = request.stdin ? this.#options.input(request.uid, execution.key) : undefined;
        return serveAttach({ stream, request, output: (began) => this.#options.output(execution.key, over.signal, began), input, clock });
      }
      case 'port-forward':
        logger.info('forwarding a connection to a port of a task', { task, port: request.port });
        return servePortForward(stream, request, execution);
    }
  }
}

/** What the client is told; every failure has a sentence of its own. */
function refusal(request: SessionRequest, error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const what = { exec: 'run a command beside', attach: 'attach to', 'port-forward': 'forward a port of' }[request.type];
  const sentence = `cannot ${what} task "${request.name}": ${(error as Error).message}`;
  if (error instanceof NotRunningError || error instanceof StartError) return new ApiError('BadRequest', sentence);
  const busy = error instanceof MachineBusyError || busyCodes.has((error as NodeJS.ErrnoException).code ?? '');
  return new ApiError(busy ? 'ServiceUnavailable' : 'InternalError', sentence);
}
