// controllers.ts: `taskplane controllers`.

import { hostname } from 'node:os';
import { HttpsTransport } from '../../client/https-transport.js';
import { loadKubeConfig } from '../../client/kubeconfig.js';
import { runControllers } from '../../controllers/main.js';
import { createLogger, type LogLevel } from '../../lib/log.js';
import type { Session } from '../session.js';
import { version } from '../version.js';

export interface ControllersOptions {
  kubeconfig?: string;
  leaderElect: boolean;
  leaderElectLeaseDurationSeconds: number;
  identity?: string;
  healthPort?: number;
  logLevel: LogLevel;
}

export async function controllers(session: Session, options: ControllersOptions): Promise<number> {
  const { clock, random, signal } = session;
  session.listenToSignals();
  const access = await loadKubeConfig({ path: options.kubeconfig });
  const transport = new HttpsTransport({ access, userAgent: `taskplane-controllers/${version}` });
  const identity = options.identity ?? `${hostname()}-${process.pid}`;
  try {
    await runControllers({ transport, identity, leaderElect: options.leaderElect, leaseDurationMs: options.leaderElectLeaseDurationSeconds * 1_000, ...(options.healthPort === undefined ? {} : { health: { port: options.healthPort } }), logger: createLogger({ level: options.logLevel }), clock, random }, signal);
  } finally {
    await transport.close();
  }
  return 0;
}
