import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import { SystemClock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import { silentLogger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { runApiServer, type ApiServerOptions, type Started } from './main.js';

function get(url: string, kubeconfig: string, path: string, method = 'GET', body?: string): Promise<{ status: number; json: Record<string, unknown> }> {
  const config = parse(kubeconfig);
  const decode = (text: string): Buffer => Buffer.from(text, 'base64');
  const { user } = config.users[0];
  const agent = new Agent({ ca: decode(config.clusters[0].cluster['certificate-authority-data']), cert: decode(user['client-certificate-data']), key: decode(user['client-key-data']) });
  return new Promise((resolve, reject) => {
    httpsRequest(`${url}${path}`, { agent, method }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (part: string) => (text += part));
      incoming.on('end', () => resolve({ status: incoming.statusCode!, json: JSON.parse(text) as Record<string, unknown> }));
    })
      .on('error', reject)
      .end(body);
  });
}

describe('runApiServer', () => {
  let dataDir: string;
  const running: { stop: AbortController; ended: Promise<void> }[] = [];
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-main-'));
  });
  afterEach(async () => {
    for (const { stop, ended } of running.splice(0)) {
      stop.abort();
      await ended.catch(() => undefined);
    }
    await chmod(dataDir, 0o700);
    await rm(dataDir, { recursive: true, force: true });
  });

  function run(options: Partial<ApiServerOptions> = {}): { ended: Promise<void>; started: Promise<Started>; stop: AbortController } {
    const started = new Deferred<Started>();
    const stop = new AbortController();
    const ended = runApiServer(
      {
        store: { type: 'embedded', path: join(dataDir, 'store.db') }, listen: { host: '127.0.0.1', port: 0 }, dataDir,
        logger: silentLogger, clock: new SystemClock(), random: new SystemRandom(), onStarted: started.resolve, ...options,
      },
      stop.signal,
    );
    running.push({ stop, ended });
    ended.catch(started.reject);
    started.promise.catch(() => undefined);
    return { ended, started: started.promise, stop };
  }

  it('ends when the thread of its database does', async () => {
    const program = join(dataDir, 'database.cjs');
    await writeFile(
      program,
      `const { parentPort } = require('node:worker_threads');
      parentPort.postMessage({ result: { bounds: { revision: 1, compactedRevision: 1 }, present: [] } });
      parentPort.on('message', ({ call }) => {
        if (call === 'commit') throw new Error('it broke');
        parentPort.postMessage({ result: { items: [], revision: 1 } });
      });`,
    );
    const { ended } = run({ store: { type: 'embedded', path: join(dataDir, 'store.db'), databaseProgram: pathToFileURL(program) } });
    await expect(ended).rejects.toThrow('the thread of the database failed: it broke');
  });

  it('writes credentials, answers, and has everything again after a restart', async () => {
    const first = run();
    const { url, kubeconfig } = await first.started;
    expect(kubeconfig).toBe(join(dataDir, 'admin.kubeconfig'));
    for (const file of ['admin.kubeconfig', 'controllers.kubeconfig']) expect((await stat(join(dataDir, file))).mode & 0o777).toBe(0o600);
    const credentials = await readFile(kubeconfig, 'utf8');
    const created = await get(url, credentials, '/api/v1/nodes', 'POST', '{"metadata":{"name":"n1"}}');
    expect(created.status).toBe(201);
    first.stop.abort();
    await first.ended;

    const second = run();
    const again = await second.started;
    expect((await get(again.url, credentials, '/api/v1/nodes/n1')).json).toEqual(created.json);
  });

  it('says that the port is in use, with the code of the system', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(run({ listen: { host: '127.0.0.1', port } }).ended).rejects.toMatchObject({ code: 'EADDRINUSE' });
    other.close();
    await once(other, 'close');
    // Nothing holds the data file after that.
    await run().started;
  });

  it('says that the data directory cannot be written', async () => {
    const file = join(dataDir, 'file');
    await writeFile(file, '');
    await expect(run({ dataDir: join(file, 'sub') }).ended).rejects.toThrow(`the data directory ${join(file, 'sub')} cannot be written (ENOTDIR): make it writable or choose another one`);
  });

  it('is unready, and says so, while etcd does not answer', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, 'close');
    const listening = new Deferred<string>();
    const logger = { ...silentLogger, info: (_message: string, fields?: Record<string, unknown>) => fields?.['url'] && listening.resolve(String(fields['url'])), child: () => logger };
    const { ended, stop } = run({ store: { type: 'etcd', servers: [`http://127.0.0.1:${port}`] }, logger });
    const url = await listening.promise;
    while (!(await readFile(join(dataDir, 'admin.kubeconfig'), 'utf8').catch(() => '')));
    const credentials = await readFile(join(dataDir, 'admin.kubeconfig'), 'utf8');
    const answer = await get(url, credentials, '/api/v1/nodes');
    expect(answer).toMatchObject({ status: 503, json: { reason: 'ServiceUnavailable', message: expect.stringContaining('the server is starting') } });
    stop.abort();
    await ended;
  });

  it('stops before it is ready as well as after', async () => {
    const { ended, stop } = run();
    stop.abort();
    await ended;
  });

  it('ends when what waits for its start fails', async () => {
    await expect(run({ onStarted: () => Promise.reject(new Error('nobody to tell')) }).ended).rejects.toThrow('nobody to tell');
  });
});
