// apiserver.ts: `taskplane apiserver`.

import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runApiServer } from '../../apiserver/main.js';
import { createAgentKubeconfig } from '../../apiserver/pki/kubeconfig.js';
import { createLogger, type LogLevel } from '../../lib/log.js';
import type { Session } from '../session.js';
import { startFailure } from './failures.js';
import { parseListen, storeOf, type StoreFlags } from './flags.js';

export interface ApiServerOptions extends StoreFlags {
  listen: string;
  advertise?: string[];
  dataDir: string;
  agent?: string[];
  presenceTtlSeconds: number;
  soleServer?: boolean;
  defaultWatchCacheSize?: number;
  logLevel: LogLevel;
}

export async function apiserver(session: Session, options: ApiServerOptions): Promise<number> {
  const { io, clock, random, signal } = session;
  session.listenToSignals();
  const dataDir = resolve(options.dataDir);
  const store = await storeOf(options, join(dataDir, 'store.db'));
  const logger = createLogger({ level: options.logLevel });
  const onStarted = async ({ url }: { url: string }): Promise<void> => {
    for (const nodeName of options.agent ?? []) await createAgentKubeconfig({ dataDir, nodeName, server: url, now: clock.now() });
    io.out.write(`ready ${url}\n`);
  };
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    await runApiServer({ store, listen: parseListen(options.listen), dataDir, advertise: options.advertise, presenceTtlSeconds: options.presenceTtlSeconds, soleServer: options.soleServer, watchHistory: options.defaultWatchCacheSize, logger, clock, random, onStarted }, signal);
  } catch (error) {
    throw startFailure(error, { listen: options.listen, dataDir });
  }
  return 0;
}
