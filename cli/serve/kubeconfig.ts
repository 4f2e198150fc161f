// kubeconfig.ts: `taskplane kubeconfig --agent NAME`: a credential for the agent of one node.

import { chmod, copyFile, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { adminKubeconfigPath, createAgentKubeconfig } from '../../apiserver/pki/kubeconfig.js';
import { loadKubeConfig } from '../../client/kubeconfig.js';
import type { Clock } from '../../lib/clock.js';
import { CliError } from '../failure.js';
import type { Io } from '../io.js';

export interface KubeconfigOptions {
  agent: string;
  dataDir: string;
  server?: string;
  output?: string;
}

export async function kubeconfig(io: Io, clock: Clock, options: KubeconfigOptions): Promise<number> {
  const dataDir = resolve(options.dataDir);
  const server = options.server ?? (await serverOf(dataDir));
  if (!/^https:\/\/[^/]+/.test(server)) throw new CliError(`--server ${server}: expected https://HOST:PORT`);
  const path = await createAgentKubeconfig({ dataDir, nodeName: options.agent, server, now: clock.now() });
  if (options.output && options.output !== '-') {
    await copyFile(path, options.output);
    await chmod(options.output, 0o600);
    io.err.write(`wrote ${options.output}\n`);
  } else {
    io.out.write(await readFile(path, 'utf8'));
  }
  return 0;
}

async function serverOf(dataDir: string): Promise<string> {
  const path = adminKubeconfigPath(dataDir);
  return loadKubeConfig({ path }).then(
    (access) => access.server,
    () => {
      throw new CliError(`there is no API server's data in ${dataDir} (no admin.kubeconfig): name its directory with --data-dir, or the server with --server`);
    },
  );
}
