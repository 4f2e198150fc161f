import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadKubeConfig } from './kubeconfig.js';

let directory: string;
const write = async (name: string, content: string): Promise<string> => {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const failure = (work: Promise<unknown>): Promise<string> => work.then(() => '', (error: Error) => error.message);

const config = (user: string, cluster = ''): string => `
apiVersion: v1
kind: Config
current-context: main
clusters: [{name: c, cluster: {server: "https://h:6443"${cluster ? `, ${cluster}` : ''}}}]
users: [{name: u, user: {${user}}}]
contexts: [{name: main, context: {cluster: c, user: u, namespace: team}}, {name: broken, context: {cluster: other, user: u}}, {name: nobody, context: {cluster: c, user: other}}]
`;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'taskplane-kubeconfig-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('kubeconfig', () => {
  it('reads certificates given as data', async () => {
    const path = await write('config', config(`client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')}`, `certificate-authority-data: ${base64('CA')}, tls-server-name: api.test, insecure-skip-tls-verify: true`));
    expect(await loadKubeConfig({ path })).toEqual({ server: 'https://h:6443', ca: 'CA', cert: 'CERT', key: 'KEY', namespace: 'team', tlsServerName: 'api.test', insecureSkipTlsVerify: true });
  });

  it('reads certificates and tokens from files, relative to the kubeconfig', async () => {
    await mkdir(join(directory, 'pki'));
    for (const [name, content] of [['ca', 'CA'], ['cert', 'CERT'], ['key', 'KEY'], ['token', 'TOKEN\n']] as const) await write(`pki/${name}`, content);
    const path = await write('config', config('client-certificate: pki/cert, client-key: pki/key, tokenFile: pki/token', 'certificate-authority: pki/ca'));
    expect(await loadKubeConfig({ path })).toEqual({ server: 'https://h:6443', ca: 'CA', cert: 'CERT', key: 'KEY', token: 'TOKEN', namespace: 'team' });
  });

  it('merges the files of KUBECONFIG, the first to name a thing wins, and one may be missing', async () => {
    const first = await write('one', 'clusters: [{name: c, cluster: {server: "https://first"}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]');
    const second = await write('two', config('token: SECOND'));
    const env = { KUBECONFIG: `${join(directory, 'missing')}:${first}:${second}` };
    expect(await loadKubeConfig({ env })).toEqual({ server: 'https://first', token: 'SECOND', namespace: 'team' });
    expect(await loadKubeConfig({ env, context: 'x' })).toEqual({ server: 'https://first', token: 'SECOND' });
  });

  it('falls back to the file in the home directory', async () => {
    await mkdir(join(directory, '.kube'));
    await write('.kube/config', config('token: HOME'));
    expect(await loadKubeConfig({ env: { HOME: directory } })).toMatchObject({ token: 'HOME' });
  });

  it('runs the program of an exec user', async () => {
    const program = await write('login', `#!/bin/sh\necho '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"FROM-EXEC"}}'\n`);
    await chmod(program, 0o755);
    const exec = (command: string): string => config(`exec: {apiVersion: client.authentication.k8s.io/v1, command: ${command}, interactiveMode: Never}`);
    expect(await loadKubeConfig({ path: await write('config', exec(program)) })).toMatchObject({ token: 'FROM-EXEC' });
    expect(await failure(loadKubeConfig({ path: await write('config', exec('/no/such/program')) }))).toContain('login program failed');
  });

  it('says in one sentence what is wrong and what to do', async () => {
    const path = await write('config', config('token: t'));
    expect(await failure(loadKubeConfig({ path: '/no/such' }))).toMatch(/no kubeconfig at \/no\/such; .*npm start/);
    expect(await failure(loadKubeConfig({ path: directory }))).toContain('cannot be read (EISDIR)');
    expect(await failure(loadKubeConfig({ path, context: 'other' }))).toContain('no context "other"; it has "main", "broken", "nobody"');
    expect(await failure(loadKubeConfig({ path, context: 'broken' }))).toContain('names the cluster "other", which is not there; it has "c"');
    expect(await failure(loadKubeConfig({ path, context: 'nobody' }))).toContain('names the user "other", which is not there');
    expect(await failure(loadKubeConfig({ path: await write('empty', '') }))).toContain('no current-context');
    expect(await failure(loadKubeConfig({ path: await write('list', '- a') }))).toContain('is not a mapping');
    expect(await failure(loadKubeConfig({ path: await write('file', config('client-certificate: nowhere')) }))).toContain('cannot be read (ENOENT)');
    expect(await failure(loadKubeConfig({ path: await write('half', config(`client-certificate-data: ${base64('C')}`)) }))).toContain('without a client-key');
    expect(await failure(loadKubeConfig({ path: await write('basic', config('username: a, password: hunter2')) }))).toContain('no longer take');
  });

  it('does not repeat secrets when a file cannot be parsed', async () => {
    const message = await failure(loadKubeConfig({ path: await write('config', 'users:\n- user: {token: hunter2\n  x: ]') }));
    expect(message).toContain('is not YAML (line');
    expect(message).not.toContain('hunter2');
  });
});
