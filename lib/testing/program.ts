// program.ts
//
// A program under test or measurement: started as a process of its own, its output kept in a file and offered line by
// line, so that whoever started it waits for what it says and for its end, never for time to pass.

import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { SystemClock, type Clock, type Timer } from '../clock.js';
import { Deferred } from '../deferred.js';

export interface ProgramOptions {
  /** For error messages and the log file: `apiserver`, `agent n1`. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Both streams are appended here. */
  readonly logPath?: string;
  readonly clock?: Clock;
}

export interface ProgramEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface LineWait {
  readonly pattern: RegExp;
  readonly found: Deferred<string>;
}

/** Lines kept in memory to be waited for and shown; the file has them all. */
const linesMax = 5_000;
const stopMsMax = 20_000;

/** Programs that run now: a harness that dies of an exception must not leave them behind. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Program {
  readonly name: string;
  /** Resolves when the process has ended and its output has been read. */
  readonly ended: Promise<ProgramEnd>;
  readonly stdout: string[] = [];
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #waits = new Set<LineWait>();
  readonly #listeners: ((line: string) => void)[] = [];
  #end: ProgramEnd | undefined;

  /** Starts at once. A program that cannot be started ends with code 127, its message among the lines. */
  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#clock = options.clock ?? new SystemClock();
    const [file, ...args] = options.command;
    const env = { ...process.env, ...options.env };
    const child = spawn(file, args, { cwd: options.cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    const log = options.logPath === undefined ? undefined : createWriteStream(options.logPath, { flags: 'a' });
    this.#read(child, log);
    this.ended = this.#untilEnd(child, log);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How it ended, or undefined while it runs. */
  get end(): ProgramEnd | undefined {
    return this.#end;
  }

  /**
   * Resolves with the first line, printed already or to come, that matches.
   * @throws Error with the last lines when the program ends, or `timeoutMs` pass, before such a line
   */
  async line(pattern: RegExp, timeoutMs = 60_000): Promise<string> {
    const printed = this.lines.find((line) => pattern.test(line));
    if (printed !== undefined) return printed;
    if (this.#end) throw this.#failure(`ended (${this.#end.code ?? this.#end.signal}) without printing ${pattern}`);
    const wait = { pattern, found: new Deferred<string>() };
    this.#waits.add(wait);
    const timer: Timer = this.#clock.timer(timeoutMs, () => wait.found.reject(this.#failure(`did not print ${pattern} within ${timeoutMs} ms`)));
    try {
      return await wait.found.promise;
    } finally {
      timer.cancel();
      this.#waits.delete(wait);
    }
  }

  /** Tells of each line to come. */
  onLine(listener: (line: string) => void): void {
    this.#listeners.push(listener);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** As `kill -9`. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    // A stopped process would only take the signal; SIGKILL ends it whether stopped or not.
    await this.ended;
  }

  /**
   * Asks it to end and waits.
   * @throws Error when it has not ended within 20 s; it has been killed then
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ProgramEnd> {
    if (this.#end) return this.#end;
    this.#child.kill('SIGCONT');
    this.#child.kill(signal);
    let late = false;
    const timer = this.#clock.timer(stopMsMax, () => {
      late = true;
      this.#child.kill('SIGKILL');
    });
    const end = await this.ended;
    timer.cancel();
    if (late) throw this.#failure(`did not end within ${stopMsMax} ms of ${signal}`);
    return end;
  }

  /** The last lines, for a message. */
  tail(count = 40): string {
    return this.lines.slice(-count).join('\n');
  }

  #read(child: ChildProcess, log: WriteStream | undefined): void {
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        log?.write(`${line}\n`);
        this.lines.push(line);
        if (stream === child.stdout) this.stdout.push(line);
        if (this.lines.length > linesMax) this.lines.shift();
        for (const wait of this.#waits) if (wait.pattern.test(line)) wait.found.resolve(line);
        for (const listener of this.#listeners) listener(line);
      });
    }
  }

  #untilEnd(child: ChildProcess, log: WriteStream | undefined): Promise<ProgramEnd> {
    return new Promise((resolve) => {
      const finish = (end: ProgramEnd): void => {
        if (this.#end) return;
        this.#end = end;
        running.delete(child);
        for (const wait of this.#waits) wait.found.reject(this.#failure(`ended (${end.code ?? end.signal}) without printing ${wait.pattern}`));
        if (log) log.end(() => resolve(end));
        else resolve(end);
      };
      child.once('error', (error) => {
        this.lines.push(error.message);
        if (child.pid === undefined) finish({ code: 127, signal: null });
      });
      child.once('close', (code, signal) => finish({ code, signal }));
    });
  }

  #failure(what: string): Error {
    return new Error(`${this.name} ${what}:\n${this.tail()}`);
  }
}
