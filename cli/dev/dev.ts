// dev.ts: `taskplane dev`, which `npm start` runs: everything on this machine, until Ctrl-C.

import { existsSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLogger, type LogLevel } from '../../lib/log.js';
import { aborted } from '../../lib/service.js';
import { applyOne, refusalLines, withNamespace } from '../commands/apply.js';
import { CliError } from '../failure.js';
import { ApiError } from '../../api/errors.js';
import type { Io } from '../io.js';
import type { Manifest } from '../manifests/check.js';
import { readManifests } from '../manifests/read.js';
import { objectTitle } from '../resource-args.js';
import { parseListen, storeOf, type StoreFlags } from '../serve/flags.js';
import { startFailure } from '../serve/failures.js';
import type { Session } from '../session.js';
import { version } from '../version.js';
import { DevCluster } from './cluster.js';
import { takeDataDir } from './data-dir.js';
import { TaskView } from './view.js';

export interface DevOptions extends StoreFlags {
  agents: number;
  listen: string;
  dataDir: string;
  kubeconfig?: string;
  /** False: apply nothing. Undefined: the examples. */
  apply?: string[] | boolean;
  logLevel: LogLevel;
}

const examples = fileURLToPath(new URL('../../manifests/examples', import.meta.url));

export async function dev(session: Session, options: DevOptions): Promise<number> {
  const { io, clock, random } = session;
  const stop = new AbortController();
  const dataDir = resolve(options.dataDir);
  const kubeconfig = resolve(options.kubeconfig ?? join(dataDir, 'kubeconfig'));
  const listen = parseListen(options.listen);
  const store = await storeOf(options, join(dataDir, 'store.db'));
  // Read before anything is started: a slip in a manifest is told at once.
  const manifests = options.apply === false ? [] : await readManifests(Array.isArray(options.apply) ? options.apply : [examples], { io });
  const lock = await takeDataDir(dataDir);
  const logPath = join(dataDir, 'dev.log');
  try {
    const logger = createLogger({ level: options.logLevel, path: logPath });
    const nodeNames = Array.from({ length: options.agents }, (_, i) => `node-${i + 1}`);
    const cluster = new DevCluster({ store, listen, dataDir, kubeconfig, nodeNames, logLevel: options.logLevel, logger, clock, random });
    let interrupts = 0;
    let firstAt = 0;
    session.onInterrupt(() => {
      // A terminal may send one Ctrl-C to npm, which hands it on, and to us.
      if (interrupts > 0 && clock.monotonic() - firstAt < 500) return;
      if (interrupts++ === 0) {
        firstAt = clock.monotonic();
        stop.abort();
      } else cluster.killAgents();
    });
    session.listenToSignals();
    io.onReaderGone = () => stop.abort();
    try {
      await serve(cluster, session, { manifests, kubeconfig }, stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) throw startFailure(error, { listen: options.listen, dataDir });
    } finally {
      if (cluster.url) io.err.write(`${stop.signal.aborted ? '\n' : ''}stopping (once more to leave the tasks running) … `);
      await cluster.stop();
      if (cluster.url) io.err.write('stopped; the data stays\n');
    }
    return 0;
  } catch (error) {
    if (error instanceof CliError || !existsSync(logPath)) throw error;
    throw new CliError(`${error instanceof Error ? error.message : String(error)} (more in ${shown(logPath)})`, 1, { cause: error });
  } finally {
    lock.release();
  }
}

async function serve(cluster: DevCluster, session: Session, what: { manifests: readonly Manifest[]; kubeconfig: string }, signal: AbortSignal): Promise<void> {
  const { io, clock, random } = session;
  await Promise.race([cluster.start(), aborted(signal)]);
  if (signal.aborted) return;
  await Promise.race([cluster.nodesReady(signal), aborted(signal)]);
  if (signal.aborted) return;
  io.out.write(`ready ${cluster.url}\n`);
  const since = clock.now();
  await applyAll(cluster, io, what.manifests);
  const view = new TaskView({
    client: cluster.client,
    io,
    clock,
    random,
    title: `Taskplane ${version} at ${cluster.url} (Ctrl-C stops it)`,
    since,
    hints: hintsFor(what.kubeconfig, what.manifests),
    onResize: (handler) => {
      process.stdout.on('resize', handler);
      return () => process.stdout.off('resize', handler);
    },
  });
  const watching = new AbortController();
  const viewing = view.run(AbortSignal.any([signal, watching.signal]));
  try {
    await Promise.race([aborted(signal), cluster.failed]);
  } finally {
    watching.abort();
    await viewing;
  }
}

async function applyAll(cluster: DevCluster, io: Io, manifests: readonly Manifest[]): Promise<void> {
  for (const manifest of manifests) {
    const wanted = withNamespace(manifest, 'default');
    try {
      const { applied } = await applyOne({ client: cluster.client }, manifest.kind, wanted, false);
      io.out.write(`${objectTitle(manifest.kind, wanted.metadata.name ?? '')} ${applied}\n`);
    } catch (error) {
      // The rest is worth having all the same: a changed example whose task runs already, for one, cannot be applied.
      if (!(error instanceof ApiError)) throw error;
      io.err.write(`${refusalLines(manifest, error).join('\n')}\n`);
    }
  }
}

function hintsFor(kubeconfig: string, manifests: readonly Manifest[]): string[] {
  const names = manifests.filter(({ kind }) => kind.kind === 'Task').map(({ object }) => object.metadata.name);
  const task = names.includes('hello') ? 'hello' : (names[0] ?? 'NAME');
  return ['Try next, in another terminal:', `  export KUBECONFIG=${quoted(kubeconfig)}`, '  kubectl get tasks', `  bin/taskplane logs ${task}`, '  bin/taskplane run --rm date -- date'];
}

function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

/** A path as short as it can be said from here. */
function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') || isAbsolute(near) ? path : near;
}
