// sessions.ts: the stream server of an agent, with what it needs of the agent's other parts.

import { join } from 'node:path';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Execution } from '../driver.js';
import { readLog } from '../log-reader.js';
import type { LogStore } from '../log-store.js';
import { attachInput } from '../stdin.js';
import { StreamServer } from './stream-server.js';

export interface SessionParts {
  agent: { executionOf(uid: string): Execution | undefined; taskOf(uid: string): { spec: { stdinOnce?: boolean } } | undefined };
  logs: LogStore;
  attemptsDir: string;
  clock: Clock;
  logger: Logger;
  sessionsMax?: number;
}

export function sessionsOf({ agent, logs, attemptsDir, ...rest }: SessionParts): StreamServer {
  return new StreamServer({
    running: (uid) => agent.executionOf(uid),
    output: (key, signal, began) =>
      readLog({
        dir: join(attemptsDir, key),
        follow: true,
        tailLines: 0,
        began,
        running: () => logs.isRunning(key),
        onEnd: (handler) => logs.onEnd(key, handler),
        clock: rest.clock,
        signal,
      }),
    input: (uid, key) => attachInput(join(attemptsDir, key), agent.taskOf(uid)?.spec.stdinOnce === true),
    ...rest,
  });
}
