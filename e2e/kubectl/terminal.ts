// terminal.ts: kubectl on a terminal of its own, as a person has it.

import { spawn, type IPty } from '@lydell/node-pty';
import { SystemClock } from '../../lib/clock.js';
import { untilSomething } from '../leaks.js';
import type { Kube } from './kube.js';

export interface TerminalSize {
  columns: number;
  rows: number;
}

export class Terminal {
  /** Everything that it has shown. */
  text = '';
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
  readonly #pty: IPty;

  constructor(kube: Kube, line: string, { columns, rows }: TerminalSize) {
    this.#pty = spawn(kube.program, line.split(' '), { cols: columns, rows, cwd: kube.path(), env: { ...process.env, ...kube.env, TERM: 'xterm' } });
    this.#pty.onData((data) => (this.text += data));
    this.ended = new Promise((resolve) => void this.#pty.onExit(({ exitCode }) => resolve(exitCode)));
  }

  type(text: string): void {
    this.#pty.write(text);
  }

  resize({ columns, rows }: TerminalSize): void {
    this.#pty.resize(columns, rows);
  }

  async shows(pattern: RegExp): Promise<void> {
    await untilSomething(`the terminal to show ${String(pattern)}; it shows ${JSON.stringify(this.text.slice(-500))}`, async () => pattern.test(this.text) || undefined, new SystemClock(), 30_000);
  }

  kill(): void {
    this.#pty.kill('SIGKILL');
  }
}
