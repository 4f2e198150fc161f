// production.ts
//
// A figure counts only if it is one of what runs in production. While a case runs, the processes that it has started are
// looked at as the kernel shows them, and the case fails when one of them was given anything that is not on these lists: a
// flag that weakens a promise has to be written here first, where it is seen.

import { sleep, type Clock } from '../lib/clock.js';
import { markVariable } from '../lib/testing/taskplane-processes.js';
import { childPids, commandOf, readChild, type Child } from './children.js';

type Allowed = Readonly<Record<string, true | ((value: string) => boolean)>>;

/** Longer than by default means fewer renewals, and a lost node that is noticed later. */
const presenceTtlSecondsDefault = 8;
/** Longer means fewer renewals, and a lost leader that is followed later. */
const leaseSecondsDefault = 4;

/** Per role the flags that say where, who and how large; none that says how safely. A function judges the value. */
export const allowedFlags: Readonly<Record<string, Allowed>> = {
  apiserver: {
    '--listen': true, '--data-dir': true, '--advertise': true, '--agent': true, '--etcd-servers': true,
    '--store': (value) => value === 'embedded' || value === 'etcd',
    '--presence-ttl-seconds': (value) => Number(value) <= presenceTtlSecondsDefault,
  },
  controllers: {
    '--kubeconfig': true, '--identity': true, '--health-port': true,
    '--leader-elect-lease-duration-seconds': (value) => Number(value) >= 1 && Number(value) <= leaseSecondsDefault,
  },
  agent: { '--kubeconfig': true, '--node-name': true, '--data-dir': true, '--capacity': true, '--labels': true },
  dev: { '--listen': true, '--data-dir': true, '--agents': true, '--no-apply': true, '--store': (value) => value === 'embedded' },
  etcd: {
    '--name': true, '--data-dir': true, '--initial-cluster': true,
    '--listen-client-urls': true, '--advertise-client-urls': true, '--listen-peer-urls': true, '--initial-advertise-peer-urls': true,
  },
};

const withoutValue = new Set(['--no-apply']);

/** They make a figure worse, never better: profiles of a run. */
const runtimeFlagsAllowed = /^--(cpu|heap)-prof/;

/** Variables that switch something in Node, etcd, Taskplane or the C library: a promise may hang on each. */
const variablesRefused = /^(NODE_|UV_|ETCD_|TASKPLANE_|LD_|MALLOC_|OPENSSL_)/;
const variablesAllowed = new Set([markVariable, 'NODE_VERSION', 'NODE_PATH', 'NODE_ENV', 'NODE_EXTRA_CA_CERTS', 'LD_LIBRARY_PATH']);

/** What makes the environment one that production has not; empty when all is well. */
export function environmentProblems(env: Readonly<Record<string, string | undefined>>): string[] {
  const names = Object.keys(env).filter((name) => env[name] !== undefined && variablesRefused.test(name) && !variablesAllowed.has(name));
  return names.map((name) => `the environment sets ${name}`);
}

/** What a process was given that production does not give it; empty when all is well, and for programs that are not ours. */
export function commandProblems({ argv, env }: Pick<Child, 'argv' | 'env'>): string[] {
  const { role, runtimeFlags, flags } = commandOf(argv);
  const allowed = allowedFlags[role];
  if (!allowed) return [];
  return [
    ...runtimeFlags.filter((flag) => !runtimeFlagsAllowed.test(flag)).map((flag) => `${role} runs with ${flag} of Node`),
    ...flagProblems(role, allowed, flags),
    ...environmentProblems(env).map((problem) => `${role}: ${problem}`),
  ];
}

function flagProblems(role: string, allowed: Allowed, flags: readonly string[]): string[] {
  const problems: string[] = [];
  for (let index = 0; index < flags.length; index++) {
    const [name, attached] = splitOnce(flags[index]!);
    const rule = allowed[name];
    if (!rule) {
      problems.push(`${role} runs with ${flags[index]}, which is not on the list of bench/production.ts`);
      continue;
    }
    const value = withoutValue.has(name) ? '' : (attached ?? flags[++index] ?? '');
    if (rule !== true && !rule(value)) problems.push(`${role} runs with ${name} ${value}, which production does not`);
  }
  return problems;
}

function splitOnce(flag: string): [string, string | undefined] {
  const at = flag.indexOf('=');
  return at === -1 ? [flag, undefined] : [flag.slice(0, at), flag.slice(at + 1)];
}

const lookEveryMs = 250;

/**
 * Looks at the children of `pid` again and again until `signal` aborts.
 * @throws Error as soon as one of them is not as in production
 */
export async function watchProduction({ pid, clock, signal }: { pid: number; clock: Clock; signal: AbortSignal }): Promise<void> {
  const seen = new Map<number, string>();
  while (!signal.aborted) {
    for (const child of await childPids(pid)) {
      // A process is a copy of its parent until it runs its program: what has changed is looked at again.
      const found = await readChild(child);
      if (!found || seen.get(child) === found.argv.join('\0')) continue;
      seen.set(child, found.argv.join('\0'));
      const problems = commandProblems(found);
      if (problems.length > 0) throw new Error(`this is not what production runs: ${problems.join('; ')}`);
    }
    await sleep(clock, lookEveryMs, signal);
  }
}
