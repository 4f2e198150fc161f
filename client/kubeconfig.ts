// kubeconfig.ts
//
// Where the API server is and who we are, from kubeconfig files, by kubectl's rules: a given path, else the files of
// $KUBECONFIG merged (the first to name a thing wins), else ~/.kube/config.
//
// Certificates, keys and tokens are read here, in milliseconds. Users that need a program or a cloud's login (exec,
// auth-provider) are left to client-node, which takes a third of a second to load and is loaded only then.
// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/

import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';

export interface ClusterAccess {
  /** https://HOST:PORT, perhaps with a path. */
  server: string;
  /** PEM. The system's authorities when absent. */
  ca?: string;
  /** PEM. */
  cert?: string;
  /** PEM. */
  key?: string;
  token?: string;
  insecureSkipTlsVerify?: boolean;
  /** Namespace of the context. */
  namespace?: string;
  /** Name to expect in the server's certificate, instead of the host's. */
  tlsServerName?: string;
}

export interface LoadKubeConfigOptions {
  /** Instead of $KUBECONFIG. */
  path?: string;
  /** Instead of the current one. */
  context?: string;
  /** Default: process.env. */
  env?: Readonly<Record<string, string | undefined>>;
}

type Fields = Readonly<Record<string, unknown>>;

/** A named part and the directory that its relative paths start from. */
interface Entry {
  fields: Fields;
  directory: string;
}

interface Config {
  currentContext: string | undefined;
  clusters: Map<string, Entry>;
  users: Map<string, Entry>;
  contexts: Map<string, Entry>;
  /** The files, for messages. */
  source: string;
}

/** @throws Error in one sentence that says what to do */
export async function loadKubeConfig(options: LoadKubeConfigOptions = {}): Promise<ClusterAccess> {
  const config = await readConfig(options);
  const contextName = options.context ?? config.currentContext;
  if (!contextName) throw new Error(`${config.source} has no current-context; choose one with --context or \`kubectl config use-context\``);
  const context = config.contexts.get(contextName);
  if (!context) throw new Error(`${config.source} has no context "${contextName}"; it has ${namesOf(config.contexts)}`);
  const clusterName = text(context.fields, 'cluster') ?? '';
  const cluster = config.clusters.get(clusterName);
  if (!cluster) throw new Error(`${config.source}: context "${contextName}" names the cluster "${clusterName}", which is not there; it has ${namesOf(config.clusters)}`);
  const userName = text(context.fields, 'user') ?? '';
  const user = config.users.get(userName);
  if (userName && !user) throw new Error(`${config.source}: context "${contextName}" names the user "${userName}", which is not there; it has ${namesOf(config.users)}`);

  const server = text(cluster.fields, 'server');
  if (!server) throw new Error(`${config.source}: cluster "${clusterName}" has no server; add server: https://HOST:PORT`);
  const access: ClusterAccess = { server };
  const set = <K extends keyof ClusterAccess>(key: K, value: ClusterAccess[K] | undefined): void => {
    if (value !== undefined) access[key] = value;
  };
  set('ca', await dataOrFile(cluster, 'certificate-authority'));
  set('tlsServerName', text(cluster.fields, 'tls-server-name'));
  set('namespace', text(context.fields, 'namespace'));
  if (cluster.fields['insecure-skip-tls-verify'] === true) access.insecureSkipTlsVerify = true;
  if (!user) return access;
  if (user.fields['exec'] || user.fields['auth-provider']) {
    return { ...access, ...(await credentialsOfProgram(access, user.fields)) };
  }
  if (user.fields['username'] !== undefined) throw new Error(`${config.source}: user "${userName}" has a username and password, which API servers no longer take; use a client certificate or a token`);
  set('cert', await dataOrFile(user, 'client-certificate'));
  set('key', await dataOrFile(user, 'client-key'));
  if (access.cert && !access.key) throw new Error(`${config.source}: user "${userName}" has a client-certificate without a client-key; add client-key or client-key-data`);
  const tokenFile = text(user.fields, 'tokenFile');
  set('token', tokenFile ? (await readReferred(resolve(user.directory, tokenFile))).trim() : text(user.fields, 'token'));
  return access;
}

async function readConfig(options: LoadKubeConfigOptions): Promise<Config> {
  const env = options.env ?? process.env;
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter(Boolean);
  const paths = options.path ? [options.path] : listed.length > 0 ? listed : [join(env['HOME'] ?? homedir(), '.kube', 'config')];
  const config: Config = { currentContext: undefined, clusters: new Map(), users: new Map(), contexts: new Map(), source: paths.join(', ') };
  let found = 0;
  for (const path of paths) {
    const content = await readIfThere(path);
    if (content === undefined) continue;
    found++;
    merge(config, parseFile(path, content), dirname(resolve(path)));
  }
  if (found === 0) {
    throw new Error(`there is no kubeconfig at ${config.source}; start a cluster with \`npm start\` (or \`taskplane dev\`) and run the \`export KUBECONFIG=...\` line that it prints, or name the file with --kubeconfig`);
  }
  return config;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return undefined;
    throw new Error(`the kubeconfig ${path} cannot be read (${code}); check that it is a file and that you may read it`, { cause });
  }
}

function parseFile(path: string, content: string): Fields {
  let parsed: unknown;
  try {
    parsed = parse(content);
  } catch (cause) {
    // The parser's message would quote the file, which holds secrets.
    const position = (cause as { linePos?: [{ line: number; col: number }] }).linePos?.[0];
    throw new Error(`the kubeconfig ${path} is not YAML${position ? ` (line ${position.line})` : ''}; make or fetch it again`);
  }
  if (parsed === null || parsed === undefined) return {};
  if (!isFields(parsed)) throw new Error(`the kubeconfig ${path} is not a mapping with clusters, users and contexts; make or fetch it again`);
  return parsed;
}

function merge(config: Config, file: Fields, directory: string): void {
  config.currentContext ??= text(file, 'current-context');
  const parts = [['clusters', 'cluster', config.clusters], ['users', 'user', config.users], ['contexts', 'context', config.contexts]] as const;
  for (const [list, field, known] of parts) {
    const entries: unknown = file[list];
    for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
      if (!isFields(entry)) continue;
      const name = text(entry, 'name');
      const fields = entry[field];
      if (name !== undefined && !known.has(name)) known.set(name, { fields: isFields(fields) ? fields : {}, directory });
    }
  }
}

/** `FIELD-data` in base64, or the content of the file that `FIELD` names. */
async function dataOrFile(entry: Entry, field: string): Promise<string | undefined> {
  const data = text(entry.fields, `${field}-data`);
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  const path = text(entry.fields, field);
  return path ? readReferred(resolve(entry.directory, path)) : undefined;
}

async function readReferred(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Error(`the file ${path}, which the kubeconfig names, cannot be read (${(cause as NodeJS.ErrnoException).code}); put it there or fetch the kubeconfig again`, { cause });
  }
}

/** Runs the user's program, or refreshes the login, through client-node. */
async function credentialsOfProgram(access: ClusterAccess, user: Fields): Promise<Partial<ClusterAccess>> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  const cluster = { server: access.server, ...(access.ca ? { 'certificate-authority-data': Buffer.from(access.ca).toString('base64') } : {}) };
  config.loadFromString(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    throw new Error(`the user's login program failed (${cause instanceof Error ? cause.message : String(cause)}); run it by hand or log in again`, { cause });
  }
  const authorization = Object.entries((options.headers ?? {}) as Fields).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
  const token = typeof authorization === 'string' ? /^Bearer (.+)$/i.exec(authorization)?.[1] : undefined;
  const { cert, key } = options;
  return {
    ...(token ? { token } : {}),
    ...(cert ? { cert: String(cert) } : {}),
    ...(key ? { key: String(key) } : {}),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function namesOf(entries: ReadonlyMap<string, Entry>): string {
  return entries.size === 0 ? 'none' : [...entries.keys()].map((name) => `"${name}"`).join(', ');
}
