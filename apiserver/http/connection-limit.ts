// connection-limit.ts
//
// How many connections the server takes. At the limit of open files the kernel's queue of connections would be emptied without a word, and stores
// and logs could open nothing more; so the server stops a little before it, and says so.

import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';

/** Open files that are not connections of clients: the store, its log, streams, what a library opens for a moment. */
const otherFiles = 128;
const saidEveryMs = 10_000;

/** The soft limit in the text of /proc/self/limits; undefined when there is none, or no such text. */
export function openFilesMax(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

export function limitConnections(server: Server, options: { clock: Clock; logger: Logger; limits?: string }): void {
  const { clock, logger, limits = readLimits() } = options;
  const files = openFilesMax(limits);
  if (files === undefined) return;
  server.maxConnections = Math.max(1, files - otherFiles);
  let dropped = 0;
  let saidAt = -Infinity;
  server.on('drop', () => {
    dropped++;
    if (clock.monotonic() - saidAt < saidEveryMs) return;
    saidAt = clock.monotonic();
    logger.error('Connections are dropped, because as many are open as the limit of open files allows; those that are open go on. Raise the limit (LimitNOFILE= of the systemd unit, ulimit -n) and start the server again.', { connections: server.maxConnections, openFilesMax: files, dropped });
    dropped = 0;
  });
}

/** Absent where /proc is: then the system's own behaviour is all there is. */
function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}
