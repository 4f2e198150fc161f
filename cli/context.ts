// context.ts: what every client verb gets: a connection, a namespace, and the outside world.

import type { ApiClient } from '../client/api-client.js';
import type { Clock } from '../lib/clock.js';
import type { Random } from '../lib/random.js';
import type { Io } from './io.js';

export interface CommandContext {
  client: ApiClient;
  /** Namespace of `-n`, of the kubeconfig's context, or `default`. */
  namespace: string;
  io: Io;
  clock: Clock;
  random: Random;
  /** Aborts on Ctrl-C and SIGTERM; commands that wait end then. */
  signal: AbortSignal;
}

export interface ConnectionOptions {
  kubeconfig?: string;
  context?: string;
  namespace?: string;
  server?: string;
}
