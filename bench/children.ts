// children.ts: the processes that a measurement has started, as the kernel knows them: whoever started them, and with
// whatever, they are all here.

import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

export interface Child {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The children of a process. Those that end meanwhile are left out. */
export async function childrenOf(pid: number): Promise<Child[]> {
  const found = await Promise.all((await childPids(pid)).map(readChild));
  return found.filter((child) => child !== undefined);
}

export async function childPids(pid: number): Promise<number[]> {
  // Node starts processes from its main thread, whose number is that of the process.
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

/** Undefined when it has ended, or has not yet become the program that it will be. */
export async function readChild(pid: number): Promise<Child | undefined> {
  try {
    const [argv, env] = await Promise.all([readList(`/proc/${pid}/cmdline`), readList(`/proc/${pid}/environ`)]);
    if (argv.length === 0) return undefined;
    const pairs = env.map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
    return { pid, argv, env: Object.fromEntries(pairs) };
  } catch {
    return undefined;
  }
}

async function readList(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8');
  const parts = text.split('\0');
  if (parts.at(-1) === '') parts.pop();
  return parts;
}

export interface Command {
  /** `apiserver`, `controllers`, `agent`, `dev`, `etcd`; `bench hollow-agents` and the like; the program's name otherwise. */
  readonly role: string;
  /** Flags of Node itself. */
  readonly runtimeFlags: readonly string[];
  readonly flags: readonly string[];
}

/** What a command line runs. */
export function commandOf(argv: readonly string[]): Command {
  const program = basename(argv[0] ?? '');
  if (!/^node\d*$/.test(program)) return { role: program, runtimeFlags: [], flags: argv.slice(1) };
  const at = argv.findIndex((arg, index) => index > 0 && !arg.startsWith('-'));
  if (at === -1) return { role: program, runtimeFlags: argv.slice(1), flags: [] };
  const runtimeFlags = argv.slice(1, at);
  const script = argv[at]!;
  const [verb = '', ...flags] = argv.slice(at + 1);
  if (/\/(bin\/taskplane|cli\/main\.js)$/.test(script)) return { role: verb, runtimeFlags, flags };
  if (script.endsWith('/bench/main.js')) return { role: `bench ${verb}`, runtimeFlags, flags };
  return { role: basename(script), runtimeFlags, flags: argv.slice(at + 1) };
}
