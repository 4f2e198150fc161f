// options.ts: flags that several verbs share, and how their values are read.

import { Option, type Command } from 'commander';
import { CliError } from '../failure.js';
import type { ConnectionOptions } from '../context.js';

export function integer(flag: string, minimum = Number.MIN_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || value < minimum) throw new CliError(`${flag} ${text}: expected ${minimum > Number.MIN_SAFE_INTEGER ? `an integer of at least ${minimum}` : 'an integer'}`);
    return value;
  };
}

/** For flags that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Adds the flags that say which cluster, last: a verb's own flags come first in its help. */
export function connected(command: Command): Command {
  return command
    .addOption(new Option('--kubeconfig <file>', 'kubeconfig to use (default: $KUBECONFIG, then ~/.kube/config)').helpGroup('Cluster:'))
    .addOption(new Option('--context <name>', 'context of the kubeconfig').helpGroup('Cluster:'))
    .addOption(new Option('-s, --server <url>', 'address of the API server, instead of the one in the kubeconfig').helpGroup('Cluster:'))
    .addOption(new Option('-n, --namespace <name>', 'namespace to work in').helpGroup('Cluster:'));
}

export function connectionOf(command: Command): ConnectionOptions {
  return command.opts<ConnectionOptions>();
}

export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

export const dryRunOption = (): Option => new Option('--dry-run <how>', 'check only: nothing is stored').choices(['none', 'client', 'server']).default('none', 'none');
