// command.ts: runs a command line tool to its end and keeps what it said.

import { spawn } from 'node:child_process';
import { SystemClock } from '../lib/clock.js';

export interface CommandResult {
  /** Exit code; null when it had to be killed. */
  code: number | null;
  stdout: string;
  stderr: string;
  /** As typed, for messages. */
  text: string;
}

export interface CommandOptions {
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** Written to its standard input, which then ends. */
  input?: string;
  timeoutMs?: number;
}

/** Resolves whatever the exit code. A command that takes longer than `timeoutMs` is killed. */
export function runCommand(command: readonly [string, ...string[]], options: CommandOptions = {}): Promise<CommandResult> {
  const { env, cwd, input, timeoutMs = 60_000 } = options;
  const [file, ...args] = command;
  const text = command.join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    const parts: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
    child.stdout.on('data', (chunk: Buffer) => parts.stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => parts.stderr.push(chunk));
    const timer = new SystemClock().timer(timeoutMs, () => {
      parts.stderr.push(Buffer.from(`\nkilled after ${timeoutMs} ms: ${text}\n`));
      child.kill('SIGKILL');
    });
    child.once('error', reject);
    child.once('close', (code) => {
      timer.cancel();
      resolve({ code, stdout: Buffer.concat(parts.stdout).toString(), stderr: Buffer.concat(parts.stderr).toString(), text });
    });
    // A tool that does not read its input may have ended by now.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}

/** @throws Error with all it said unless it exited with `code` */
export function expectCode(result: CommandResult, code = 0): CommandResult {
  if (result.code === code) return result;
  throw new Error(`${result.text}\nexited with ${result.code}, not ${code}\n${result.stdout}${result.stderr}`);
}
