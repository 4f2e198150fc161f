// kubeconfig-file.ts: the kubeconfig that people are told to export. Written whole, and only if it would change; a file
// that holds other clusters, too, keeps them.

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parse, stringify } from 'yaml';
import { CliError } from '../failure.js';

interface Named {
  name: string;
}

interface Config {
  clusters?: Named[];
  users?: Named[];
  contexts?: Named[];
  [field: string]: unknown;
}

/** @param text a kubeconfig with one cluster, user and context */
export async function writeKubeconfig(path: string, text: string): Promise<void> {
  const old = await readFile(path, 'utf8').catch(() => undefined);
  const next = old === undefined || old.trim() === '' ? text : mergedKubeconfig(path, old, text);
  if (next === old) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, next, { mode: 0o600 });
  await rename(temporary, path);
}

/** @throws CliError when the file is no kubeconfig: it is not ours to replace */
export function mergedKubeconfig(path: string, old: string, text: string): string {
  let config: Config | null;
  try {
    config = parse(old) as Config | null;
  } catch {
    config = null;
  }
  if (typeof config !== 'object' || config === null || !Array.isArray(config.clusters)) throw new CliError(`${path} is there and is no kubeconfig; name another file with --kubeconfig, or move it away`);
  const ours = renamed(parse(text) as Config);
  const added = (mine: Named[] = [], theirs: Named[] = []): Named[] => [...theirs.filter(({ name }) => !mine.some((entry) => entry.name === name)), ...mine];
  const { clusters, users, contexts } = ours;
  if (config.clusters.every(({ name }) => clusters?.some((entry) => entry.name === name))) return text;
  return stringify(
    { ...config, clusters: added(clusters, config.clusters), users: added(users, config.users), contexts: added(contexts, config.contexts), 'current-context': ours['current-context'] },
    { lineWidth: 0 },
  );
}

/** In company our user needs a name that no other cluster's has; many are called admin. */
function renamed(config: Config): Config {
  const rename = (name: string): string => (name.startsWith('taskplane') ? name : `taskplane-${name}`);
  return {
    ...config,
    users: config.users?.map((user) => ({ ...user, name: rename(user.name) })),
    contexts: config.contexts?.map((entry) => {
      const context = (entry as Named & { context: { user: string } }).context;
      return { ...entry, context: { ...context, user: rename(context.user) } };
    }),
  };
}
