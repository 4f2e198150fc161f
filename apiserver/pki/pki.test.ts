import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { silentLogger } from '../../lib/log.js';
import { adminSubject, agentSubject, createAgentKubeconfig, prepareKubeconfig } from './kubeconfig.js';
import { PkiError, preparePki } from './pki.js';

const now = Date.UTC(2026, 5, 1);
const dayMs = 86_400_000;

describe('the authority of an installation', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-pki-'));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const prepare = (options: { hosts?: string[]; now?: number } = {}) =>
    preparePki({ dataDir, hosts: options.hosts ?? [], now: options.now ?? now, logger: silentLogger });

  it('is made once, with a server certificate for this machine, readable by its owner only', async () => {
    const first = await prepare({ hosts: ['api.example.com', '10.9.8.7'] });
    const server = new X509Certificate(first.server.cert);
    expect(server.verify(new X509Certificate(first.authority.cert).publicKey)).toBe(true);
    for (const host of ['localhost', 'api.example.com']) expect(server.checkHost(host)).toBe(host);
    for (const address of ['127.0.0.1', '::1', '10.9.8.7']) expect(server.checkIP(address)).toBe(address);
    expect(new X509Certificate(first.authority.cert).ca).toBe(true);
    for (const file of ['ca.crt', 'ca.key', 'server.crt', 'server.key']) expect((await stat(join(dataDir, 'pki', file))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, 'pki'))).mode & 0o777).toBe(0o700);
    expect(await prepare({ hosts: ['api.example.com'] })).toEqual(first);
  });

  it('makes the server certificate anew, and only that, when a host is missing or its time is near', async () => {
    const first = await prepare();
    const wider = await prepare({ hosts: ['new.example.com'] });
    expect(wider.authority).toEqual(first.authority);
    expect(new X509Certificate(wider.server.cert).checkHost('new.example.com')).toBe('new.example.com');
    const later = await prepare({ hosts: ['new.example.com'], now: now + 700 * dayMs });
    expect(later.server).not.toEqual(wider.server);
    expect(later.authority).toEqual(first.authority);
  });

  it('refuses to replace an authority whose key is gone', async () => {
    await prepare();
    await unlink(join(dataDir, 'pki', 'ca.key'));
    await expect(prepare()).rejects.toThrow(PkiError);
    await expect(prepare()).rejects.toThrow(/ca\.key is not: put the key back/);
  });

  it('keeps credentials that hold when the address of the server changes, and renews them in time', async () => {
    const { authority } = await prepare();
    const path = join(dataDir, 'admin.kubeconfig');
    const read = async () => parse(await readFile(path, 'utf8'));
    await prepareKubeconfig({ path, authority, subject: adminSubject, server: 'https://127.0.0.1:1', now });
    const first = await read();
    await prepareKubeconfig({ path, authority, subject: adminSubject, server: 'https://127.0.0.1:2', now: now + dayMs });
    const second = await read();
    expect(second.users).toEqual(first.users);
    expect(second.clusters[0].cluster.server).toBe('https://127.0.0.1:2');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await prepareKubeconfig({ path, authority, subject: adminSubject, server: 'https://127.0.0.1:2', now: now + 700 * dayMs });
    expect((await read()).users).not.toEqual(first.users);
  });

  it("names the node in an agent's credentials, and says so when it cannot make them", async () => {
    await expect(createAgentKubeconfig({ dataDir, nodeName: 'n1', server: 'https://h:1', now })).rejects.toThrow(/start the API server there once/);
    await prepare();
    await expect(createAgentKubeconfig({ dataDir, nodeName: '../x', server: 'https://h:1', now })).rejects.toThrow(/"..\/x" is no name for a node/);
    const path = await createAgentKubeconfig({ dataDir, nodeName: 'n1', server: 'https://h:1', now });
    expect(path).toBe(join(dataDir, 'agents', 'n1.kubeconfig'));
    const { user } = parse(await readFile(path, 'utf8')).users[0];
    const cert = new X509Certificate(Buffer.from(user['client-certificate-data'], 'base64'));
    expect(cert.subject.split('\n').sort()).toEqual([`CN=${agentSubject('n1').name}`, 'O=system:nodes']);
    expect(cert.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  });
});
