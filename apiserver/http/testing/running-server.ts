// running-server.ts: a whole API server in a test, behind a port of its own, and who may talk to it.

import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpsRequest, type Agent, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../../lib/clock.js';
import { silentLogger } from '../../../lib/log.js';
import { SystemRandom } from '../../../lib/random.js';
import { ApiServerCore } from '../../core.js';
import { makeAuthority, makeClientCertificate, makeServerCertificate, type KeyPair } from '../../pki/certificates.js';
import { adminSubject, agentSubject } from '../../pki/kubeconfig.js';
import { cacheIndexes } from '../../resources/object-cache.js';
import { EmbeddedStore } from '../../storage/embedded/embedded-store.js';
import { WatchCache } from '../../storage/watch-cache.js';
import { ServerMetrics } from '../metrics.js';
import { HttpsServer } from '../server.js';

export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

/** A server on a port of its own, and who may talk to it. */
export async function startServer(options: { stoppingMs?: number; arrivalMs?: number } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'taskplane-server-'));
  const clock = new SystemClock();
  const random = new SystemRandom();
  const authority = await makeAuthority('ca', clock.now());
  const certificate = await makeServerCertificate(authority, ['localhost', '127.0.0.1'], clock.now());
  const store = EmbeddedStore.open({ file: join(directory, 'store.db'), clock });
  const cache = new WatchCache({ store, indexes: cacheIndexes, clock, random, log: silentLogger });
  const core = new ApiServerCore({ store, cache, clock, random, logger: silentLogger, metrics: new ServerMetrics({ process: false }) });
  const tls = { ca: authority.cert, cert: certificate.cert, key: certificate.key };
  const server = new HttpsServer({ handler: core.handler, resources: core.resources, tunnels: core.tunnels, tls, listen: { host: '127.0.0.1', port: 0 }, clock, logger: silentLogger, ...options });
  const port = await server.listen();
  const [stopServer, stopCore] = [new AbortController(), new AbortController()];
  const ended = [server.run(stopServer.signal), core.run(stopCore.signal)];
  await core.ready;
  const send = (options: RequestOptions & { body?: string; pair?: KeyPair | undefined; agent?: Agent }): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { body, pair, ...rest } = options;
      const outgoing = httpsRequest({ host: '127.0.0.1', port, ca: authority.cert, ...pair, agent: options.agent ?? false, ...rest }, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => (text += part));
        incoming.on('end', () => resolve({ status: incoming.statusCode!, headers: incoming.headers, body: text }));
        incoming.on('error', reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  return {
    authority, port, core, send,
    admin: await makeClientCertificate(authority, adminSubject, clock.now()),
    agent: await makeClientCertificate(authority, agentSubject('n1'), clock.now()),
    stopServer: () => stopServer.abort(),
    async stop() {
      stopServer.abort();
      await ended[0];
      stopCore.abort();
      await ended[1];
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export type RunningServer = Awaited<ReturnType<typeof startServer>>;
