// log.ts
//
// One line per fact: a sentence, then fields. JSON by default, a readable line on a terminal.

import { createRequire } from 'node:module';
import { pino, type DestinationStream, type Logger as Pino } from 'pino';
import type { build } from 'pino-pretty';

export type LogFields = Record<string, unknown>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines all carry `fields`. */
  child(fields: LogFields): Logger;
}

class PinoLogger implements Logger {
  constructor(private readonly pino: Pino) {}

  debug(message: string, fields: LogFields = {}): void {
    this.pino.debug(fields, message);
  }
  info(message: string, fields: LogFields = {}): void {
    this.pino.info(fields, message);
  }
  warn(message: string, fields: LogFields = {}): void {
    this.pino.warn(fields, message);
  }
  error(message: string, fields: LogFields = {}): void {
    this.pino.error(fields, message);
  }
  child(fields: LogFields): Logger {
    return new PinoLogger(this.pino.child(fields));
  }
}

/**
 * Writes to standard error, so that standard output stays for what the user asked for.
 * @param options.path append to this file (JSON) instead
 * @param options.format `json` for machines, `pretty` for people; default by whether standard error is a terminal.
 */
export function createLogger(options: { level?: LogLevel; format?: 'json' | 'pretty'; path?: string } = {}): Logger {
  const level = options.level ?? 'info';
  const format = options.format ?? (process.stderr.isTTY && options.path === undefined ? 'pretty' : 'json');
  const base = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { error: errorText } };
  const destination =
    format === 'pretty'
      ? prettyDestination()
      : pino.destination(options.path === undefined ? { fd: 2, sync: true } : { dest: options.path, mkdir: true, append: true, mode: 0o600, sync: true });
  return new PinoLogger(pino({ ...base, formatters: { level: (label) => ({ level: label }) } }, destination));
}

/** Loaded only where a person watches: it costs every other process 3 MB. */
function prettyDestination(): DestinationStream {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof build;
  return pretty({ destination: 2, sync: true, singleLine: true, translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname', colorize: process.stderr.isTTY });
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

function errorText(error: unknown): unknown {
  return error instanceof Error ? (error.stack ?? error.message) : error;
}
