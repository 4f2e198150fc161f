// endpoint.ts: what a path and a method lead to, before anything is done: who may, how it counts, and what then runs.

import type { Attributes } from '../resources/authorization.js';
import type { Caller } from '../resources/service.js';
import type { ServerReply, ServerRequest } from './message.js';

export interface Endpoint {
  attributes: Attributes;
  /** For the few whose authorization depends on what the body says: reads it first. @throws ApiError */
  bodyAttributes?(request: ServerRequest): Promise<Partial<Attributes>>;
  /** Whether the answer is for anybody, known or not. */
  anonymous?: boolean;
  /** Watches and logs: they stay open, so they are no load while they wait. */
  longRunning?: boolean;
  /** How metrics name it; never anything that a client makes up. */
  label: { verb: string; resource: string };
  /** @throws ApiError */
  run(request: ServerRequest, caller: Caller): Promise<ServerReply> | ServerReply;
  /**
   * `run` for what agents ask thousands of times per second, where the answer is a 200 that is known at once: its JSON text. Undefined, or whatever
   * is thrown: `run` has to, so it does nothing that may not be done twice.
   */
  runNow?(body: Buffer, headers: ServerRequest['headers']): string | undefined;
}
