// agent-child.ts: an agent in a process of its own, kept running: one that ends by itself is started again, later each time.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { jitteredBackoffMs, type BackoffPolicy } from '../../lib/backoff.js';
import { sleep, type Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';

/** The same from the source and from the bundle: both lie two folders deep. */
const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** An agent holds a few kilobytes per task; a small heap keeps it small, and starting processes from it quick. */
const nodeFlags = ['--max-old-space-size=96', '--max-semi-space-size=1'];

const restartBackoff: BackoffPolicy = { firstMs: 250, maxMs: 10_000, factor: 2 };
/** An agent that ran for so long was well: its next failure counts as the first. */
const healthyMs = 30_000;

export class AgentChild implements Service {
  readonly name: string;
  #child: ChildProcess | undefined;

  constructor(private readonly options: { nodeName: string; flags: readonly string[]; logFd: number; clock: Clock; random: Random; logger: Logger }) {
    this.name = `agent ${options.nodeName}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger, nodeName } = this.options;
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      const how = await this.#runOnce(signal);
      if (signal.aborted) return;
      failures = clock.monotonic() - startedAt > healthyMs ? 1 : failures + 1;
      const delayMs = jitteredBackoffMs(restartBackoff, failures, random);
      logger.warn('An agent has ended; it is started again.', { node: nodeName, how, delayMs: Math.round(delayMs) });
      await sleep(clock, delayMs, signal);
    }
  }

  /** Ends it at once; its tasks go on, and the next agent takes them up. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async #runOnce(signal: AbortSignal): Promise<string> {
    // A session of its own: Ctrl-C at the terminal is for us, and we tell the agents when their turn has come. The
    // channel tells it when we die without a word.
    const child = spawn(process.execPath, [...nodeFlags, program, 'agent', ...this.options.flags, '--exit-with-parent'], {
      stdio: ['ignore', this.options.logFd, this.options.logFd, 'ipc'],
      detached: true,
    });
    this.#child = child;
    const stop = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    try {
      const [code, by] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      return by ? `killed by ${by}` : `exit code ${code}`;
    } catch (error) {
      return (error as Error).message;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#child = undefined;
    }
  }
}
