import type { ApiClient } from '../../client/api-client.js';
import { ApiError, type Status } from '../../api/errors.js';
import type { Io } from '../io.js';
import { version } from '../version.js';

export interface VersionOptions {
  client?: boolean;
  output?: 'json' | 'yaml';
}

/** @param connect called only when the server's version is wanted */
export async function printVersion(io: Io, options: VersionOptions, connect: () => Promise<ApiClient>): Promise<number> {
  const clientVersion = { gitVersion: `v${version}`, node: process.version };
  if (!options.output) io.out.write(`Client Version: ${clientVersion.gitVersion}\n`);
  const serverVersion = options.client ? undefined : await askServer(await connect());
  if (options.output === 'json') io.out.write(`${JSON.stringify({ clientVersion, serverVersion }, undefined, 2)}\n`);
  else if (options.output === 'yaml') io.out.write((await import('yaml')).stringify({ clientVersion, serverVersion }));
  else if (serverVersion) io.out.write(`Server Version: ${serverVersion.gitVersion}\n`);
  return 0;
}

async function askServer(client: ApiClient): Promise<{ gitVersion: string }> {
  const reply = await client.transport.request({ method: 'GET', path: '/version', headers: { accept: 'application/json' } });
  if (reply.status >= 400) throw ApiError.fromStatus(JSON.parse(reply.body) as Partial<Status>, reply.status);
  return JSON.parse(reply.body) as { gitVersion: string };
}
