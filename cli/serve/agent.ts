// agent.ts: `taskplane agent`.

import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { runAgent } from '../../agent/main.js';
import { subdomainProblem } from '../../api/names.js';
import { HttpsTransport } from '../../client/https-transport.js';
import { loadKubeConfig } from '../../client/kubeconfig.js';
import { createLogger, type LogLevel } from '../../lib/log.js';
import { CliError } from '../failure.js';
import type { Session } from '../session.js';
import { version } from '../version.js';
import { startFailure } from './failures.js';
import { nodeNameOf, parseCapacity, parseLabels } from './flags.js';

export interface AgentOptions {
  kubeconfig?: string;
  nodeName?: string;
  labels?: string;
  capacity?: string;
  dataDir?: string;
  stopTasksOnExit?: boolean;
  exitWithParent?: boolean;
  logLevel: LogLevel;
}

export async function agent(session: Session, options: AgentOptions): Promise<number> {
  const { clock, random, signal } = session;
  session.listenToSignals();
  // As if we had been killed: the tasks go on, and the next agent here takes them up.
  if (options.exitWithParent) {
    process.on('disconnect', () => process.exit(1));
    // Listening keeps the channel open, and an open channel keeps the process alive when all else has ended.
    process.channel?.unref();
  }
  const nodeName = options.nodeName ?? nodeNameOf(hostname());
  const problem = subdomainProblem(nodeName);
  if (problem) throw new CliError(`--node-name ${nodeName}: ${problem}`);
  const labels = parseLabels(options.labels);
  const capacity = parseCapacity(options.capacity);
  const access = await loadKubeConfig({ path: options.kubeconfig });
  const dataDir = resolve(options.dataDir ?? join('.taskplane/agents', nodeName));
  const userAgent = `taskplane-agent/${version}`;
  const transport = new HttpsTransport({ access, userAgent });
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    await runAgent({ transport, access, userAgent, nodeName, labels, capacity, dataDir, stopTasksOnExit: options.stopTasksOnExit ?? false, version: `v${version}`, onChildEnded, clock, random, logger: createLogger({ level: options.logLevel }) }, signal);
  } catch (error) {
    throw startFailure(error, { listen: '', dataDir });
  } finally {
    await transport.close();
  }
  return 0;
}

function onChildEnded(handler: () => void): () => void {
  process.on('SIGCHLD', handler);
  return () => void process.off('SIGCHLD', handler);
}
