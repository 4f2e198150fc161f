// main.ts: the composition root of the API server: store -> cache -> handler -> socket.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leaseKind, presenceNamespace } from '../api/lease.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import { ApiServerCore } from './core.js';
import { ServerMetrics } from './http/metrics.js';
import { HttpsServer } from './http/server.js';
import { adminKubeconfigPath, adminSubject, controllersKubeconfigPath, controllersSubject, prepareKubeconfig } from './pki/kubeconfig.js';
import { preparePki, type Pki } from './pki/pki.js';
import { cacheIndexes } from './resources/object-cache.js';
import { collectionPrefix } from './resources/registry-keys.js';
import { EmbeddedStore } from './storage/embedded/embedded-store.js';
import type { Store } from './storage/store.js';
import { WatchCache } from './storage/watch-cache.js';

/** What the database's thread runs: beside the programs that tools/build.mjs makes, and not there when nothing has been built. */
const databaseProgram = new URL('../apiserver/database-worker.js', import.meta.url);

export interface ApiServerOptions {
  store:
    /** `databaseProgram`: built, what the database's thread runs; when absent, the one beside the programs if there is one. */
    | { type: 'embedded'; path: string; databaseProgram?: URL }
    /** `ca`, `cert` and `key` are PEM text. */
    | { type: 'etcd'; servers: readonly string[]; ca?: string | undefined; cert?: string | undefined; key?: string | undefined };
  /** Port 0 picks a free one. */
  listen: { host: string; port: number };
  dataDir: string;
  /** How long an agent that says nothing is taken as present. 8 when absent. */
  presenceTtlSeconds?: number | undefined;
  /** No other API server uses this etcd, so that agents may ride out its absence. The embedded store never has another. */
  soleServer?: boolean | undefined;
  /** Changes that a watcher may have missed and still resume; with the embedded store also how far back lists can look. */
  watchHistory?: number | undefined;
  /** Names and addresses under which others reach this server; the first goes into the kubeconfig files. */
  advertise?: readonly string[] | undefined;
  logger: Logger;
  clock: Clock;
  random: Random;
  /** Requests are answered and the kubeconfig files are written. A rejection stops the server. */
  onStarted?(started: Started): void | Promise<void>;
}

export interface Started {
  /** `https://127.0.0.1:7443` */
  url: string;
  /** Path of the admin's kubeconfig. */
  kubeconfig: string;
}

/**
 * Serves until the signal aborts; resolves when everything has ended.
 * @throws Error that says what to do, with the system's `code` where there is one: the port is in use, the data directory
 * cannot be written, the data file is in use; or why the store failed for good. A store that does not answer is no error: the server waits for it, unready.
 */
export async function runApiServer(options: ApiServerOptions, signal: AbortSignal): Promise<void> {
  const { dataDir, clock, logger } = options;
  await checkWritable(dataDir);
  const pki = await preparePki({ dataDir, hosts: namedHosts(options), now: clock.now(), logger });
  const metrics = new ServerMetrics({ process: true });
  const store = await openStore(options, metrics);
  try {
    await serve(options, pki, store, metrics, signal);
  } finally {
    await store.close();
    metrics.close();
  }
}

async function serve(options: ApiServerOptions, pki: Pki, store: Store, metrics: ServerMetrics, signal: AbortSignal): Promise<void> {
  const { dataDir, clock, random, logger, listen, presenceTtlSeconds } = options;
  const cache = new WatchCache({ store, indexes: cacheIndexes, ...(options.watchHistory === undefined ? {} : { windowChanges: options.watchHistory }), clock, random, log: logger });
  const core = new ApiServerCore({ store, cache, clock, random, logger, metrics, soleServer: options.soleServer === true || options.store.type === 'embedded', ...(presenceTtlSeconds === undefined ? {} : { presenceTtlMs: presenceTtlSeconds * 1000 }) });
  const tls = { ca: pki.authority.cert, cert: pki.server.cert, key: pki.server.key };
  const server = new HttpsServer({ handler: core.handler, resources: core.resources, tunnels: core.tunnels, tls, listen, clock, logger });
  const port = await server.listen();

  // The socket goes first and the cache after it, so that requests in flight can still finish.
  const stopServing = new AbortController();
  const stopCore = new AbortController();
  const stop = (): void => stopServing.abort();
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  const serving = server.run(stopServing.signal).finally(() => stopCore.abort());
  const following = core.run(stopCore.signal).finally(stop);
  const starting = (async () => {
    const url = `https://${urlHost(publicHost(options))}:${port}`;
    logger.info('Listening; waiting for the store.', { url });
    const kubeconfig = await writeKubeconfigs(dataDir, pki, url, clock.now());
    if (!(await readyBefore(core, stopCore.signal))) return;
    logger.info('Ready: requests are answered.', { url, kubeconfig });
    await options.onStarted?.({ url, kubeconfig });
  })();
  let failure: Error | undefined;
  void store.failed?.then((error) => {
    failure = error;
    stop();
  });
  try {
    starting.catch(stop);
    await Promise.all([serving, following, starting]);
    if (failure) throw failure;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
    await Promise.allSettled([serving, following, starting]);
  }
}

async function writeKubeconfigs(dataDir: string, { authority }: Pki, server: string, now: number): Promise<string> {
  await prepareKubeconfig({ path: controllersKubeconfigPath(dataDir), authority, subject: controllersSubject, server, now });
  return prepareKubeconfig({ path: adminKubeconfigPath(dataDir), authority, subject: adminSubject, server, now });
}

/** False when the server was stopped first. */
function readyBefore(core: ApiServerCore, stopped: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = (): void => resolve(false);
    if (stopped.aborted) return stop();
    stopped.addEventListener('abort', stop, { once: true });
    void core.ready.then(() => {
      stopped.removeEventListener('abort', stop);
      resolve(true);
    });
  });
}

async function openStore({ store, watchHistory, clock, random, logger }: ApiServerOptions, metrics: ServerMetrics): Promise<Store> {
  const onCommit = (writes: number, seconds: number): void => metrics.observeCommit(writes, seconds);
  if (store.type === 'embedded') {
    const options = { file: store.path, ...(watchHistory === undefined ? {} : { keepChanges: watchHistory }), clock, onCommit };
    const program = store.databaseProgram ?? databaseProgram;
    return existsSync(program) ? EmbeddedStore.openInThread(options, program) : EmbeddedStore.open(options);
  }
  // Its libraries take a while to load: who has an embedded store does not wait for them.
  const { EtcdStore } = await import('./storage/etcd/etcd-store.js');
  const { servers, ca, cert, key } = store;
  const presencePrefix = collectionPrefix(leaseKind, presenceNamespace);
  const tls = ca === undefined ? undefined : { ca: Buffer.from(ca), ...(cert === undefined ? {} : { cert: Buffer.from(cert) }), ...(key === undefined ? {} : { key: Buffer.from(key) }) };
  return EtcdStore.open({ endpoints: servers, presencePrefix, clock, random, log: logger, onCommit, ...(tls ? { tls } : {}) });
}

/** Finds out before anything is begun, and with the path in the message. @throws Error with `code` and `path` */
async function checkWritable(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const probe = join(dataDir, `.writable-${randomBytes(6).toString('hex')}`);
    await writeFile(probe, '', { mode: 0o600 });
    await rm(probe);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw Object.assign(new Error(`the data directory ${dataDir} cannot be written (${code ?? message}): make it writable or choose another one`, { cause: error }), { code, path: dataDir });
  }
}

const everyAddress = new Set(['0.0.0.0', '::', '']);

/** Where clients are told to go. */
function publicHost({ advertise, listen }: ApiServerOptions): string {
  return advertise?.[0] ?? (everyAddress.has(listen.host) ? '127.0.0.1' : listen.host);
}

function namedHosts({ advertise = [], listen }: ApiServerOptions): string[] {
  return [...advertise, ...(everyAddress.has(listen.host) ? [] : [listen.host])];
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
