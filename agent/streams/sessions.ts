// sessions.ts: the stream server of an agent, with what it needs of the agent's other parts.

import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Execution } from '../driver.js';
import { parseAttemptKey } from '../driver.js';
import { requestedLog } from '../log-request.js';
import type { LogStore } from '../log-store.js';
import { openInput } from './attached-input.js';
import { StreamServer } from './stream-server.js';

export interface SessionParts {
  agent: { executionOf(uid: string): Execution | undefined };
  logs: LogStore;
  attemptsDir: string;
  clock: Clock;
  logger: Logger;
  sessionsMax?: number;
}

export function sessionsOf({ agent, logs, attemptsDir, ...rest }: SessionParts): StreamServer {
  return new StreamServer({
    running: (uid) => agent.executionOf(uid),
    output: (key, signal) => {
      const { uid, attempt } = parseAttemptKey(key)!;
      return requestedLog(logs, { type: 'log', namespace: '', name: '', uid, attempt, previous: false, follow: true, tailLines: 0 }, rest.clock, signal);
    },
    input: (key) => openInput(attemptsDir, key),
    ...rest,
  });
}
