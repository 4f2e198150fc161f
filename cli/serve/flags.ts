// flags.ts: how the values of the servers' flags are read.

import { readFile } from 'node:fs/promises';
import { labelsProblems, qualifiedNameProblem } from '../../api/names.js';
import { parseMilli, quantityHelp } from '../../api/quantity.js';
import { CliError } from '../failure.js';

export interface StoreFlags {
  store?: 'embedded' | 'etcd';
  etcdServers?: string;
  etcdCafile?: string;
  etcdCertfile?: string;
  etcdKeyfile?: string;
}

export type StoreChoice = { type: 'embedded'; path: string } | { type: 'etcd'; servers: string[]; ca?: string; cert?: string; key?: string };

/** `127.0.0.1:7443`, `[::1]:0`, `:7443` (every address). @throws CliError */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw new CliError(`--listen ${text}: expected HOST:PORT, such as 127.0.0.1:7443`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** @throws CliError */
export async function storeOf(flags: StoreFlags, path: string): Promise<StoreChoice> {
  const type = flags.store ?? (flags.etcdServers ? 'etcd' : 'embedded');
  if (type === 'embedded') {
    if (flags.etcdServers) throw new CliError('--etcd-servers goes with --store etcd, not with --store embedded');
    return { type, path };
  }
  const servers = (flags.etcdServers ?? 'http://127.0.0.1:2379').split(',').map((url) => url.trim()).filter(Boolean);
  for (const url of servers) if (!/^https?:\/\/[^/]+$/.test(url)) throw new CliError(`--etcd-servers ${url}: expected http://HOST:PORT or https://HOST:PORT`);
  const read = async (flag: string, file: string | undefined): Promise<string | undefined> => {
    if (file === undefined) return undefined;
    return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new CliError(`${flag} ${file}: cannot be read (${error.code})`);
    });
  };
  const [ca, cert, key] = await Promise.all([read('--etcd-cafile', flags.etcdCafile), read('--etcd-certfile', flags.etcdCertfile), read('--etcd-keyfile', flags.etcdKeyfile)]);
  return { type, servers, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
}

/** @throws CliError naming the pair that is wrong */
export function parseLabels(text: string | undefined): Record<string, string> {
  const labels = parsePairs('--labels', text);
  const problem = labelsProblems(labels, '--labels')[0];
  if (problem) throw new CliError(`${problem.field}: ${problem.message}`);
  return labels;
}

/** @throws CliError naming the pair that is wrong */
export function parseCapacity(text: string | undefined): Record<string, string> {
  const capacity = parsePairs('--capacity', text);
  for (const [name, amount] of Object.entries(capacity)) {
    const nameProblem = qualifiedNameProblem(name);
    if (nameProblem) throw new CliError(`--capacity ${name}=${amount}: ${nameProblem}`);
    const milli = parseMilli(amount);
    if (milli === undefined || milli < 0) throw new CliError(`--capacity ${name}=${amount}: ${quantityHelp}`);
  }
  return capacity;
}

function parsePairs(flag: string, text: string | undefined): Record<string, string> {
  const pairs = (text ?? '').split(',').map((pair) => pair.trim()).filter(Boolean).map((pair): [string, string] => {
    const at = pair.indexOf('=');
    if (at < 1) throw new CliError(`${flag} ${pair}: expected NAME=VALUE`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  return Object.fromEntries(pairs);
}

/**
 * A host name as a name of a node: lower case, what is not allowed replaced; `node-1` when nothing is left.
 */
export function nodeNameOf(hostname: string): string {
  const name = hostname.toLowerCase().replaceAll(/[^a-z0-9.-]+/g, '-').replaceAll(/(^[^a-z0-9]+|[^a-z0-9]+$)/g, '').replaceAll(/\.\.+/g, '.');
  return name || 'node-1';
}
