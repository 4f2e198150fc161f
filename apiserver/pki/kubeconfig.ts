// kubeconfig.ts: files that hold everything a client needs: where the server is, whom to trust, and who they are.

import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { certificateProblem, makeClientCertificate, type KeyPair, type Subject } from './certificates.js';
import { readIfPresent, writeSecret } from './files.js';
import { loadAuthority, PkiError } from './pki.js';
import { nodeKind } from '../../api/node.js';

export const adminSubject: Subject = { name: 'admin', groups: ['system:masters'] };
export const controllersSubject: Subject = { name: 'system:kube-controller-manager', groups: [] };

export function agentSubject(nodeName: string): Subject {
  return { name: `system:node:${nodeName}`, groups: ['system:nodes'] };
}

export function adminKubeconfigPath(dataDir: string): string {
  return join(dataDir, 'admin.kubeconfig');
}

export function controllersKubeconfigPath(dataDir: string): string {
  return join(dataDir, 'controllers.kubeconfig');
}

export function agentKubeconfigPath(dataDir: string, nodeName: string): string {
  return join(dataDir, 'agents', `${nodeName}.kubeconfig`);
}

/**
 * Writes a kubeconfig for `subject`. One that is there already keeps its credentials while they hold; where the server is
 * may have changed.
 * @param options.server `https://HOST:PORT`
 * @param options.now milliseconds since the epoch
 * @returns the path
 */
export async function prepareKubeconfig(options: { path: string; authority: KeyPair; subject: Subject; server: string; now: number }): Promise<string> {
  const { path, authority, subject, server, now } = options;
  const text = await readIfPresent(path);
  const kept = text === undefined ? undefined : usableCredentials(text, authority, subject, now);
  const next = kubeconfigText({ server, ca: authority.cert, user: subject.name, credentials: kept ?? (await makeClientCertificate(authority, subject, now)) });
  if (next !== text) await writeSecret(path, next);
  return path;
}

/**
 * A kubeconfig for the agent of a node, at <data-dir>/agents/NAME.kubeconfig. Run where the API server's data directory is.
 * @throws PkiError when the API server has never been started there; Error for a name that no node can have
 */
export async function createAgentKubeconfig(options: { dataDir: string; nodeName: string; server: string; now: number }): Promise<string> {
  const { dataDir, nodeName, server, now } = options;
  const problem = nodeKind.nameProblem(nodeName);
  if (problem) throw new Error(`${JSON.stringify(nodeName)} is no name for a node: ${problem}`);
  const authority = await loadAuthority(dataDir);
  if (!authority) throw new PkiError(`there is no certificate authority in ${dataDir}: start the API server there once, it makes one`);
  return prepareKubeconfig({ path: agentKubeconfigPath(dataDir, nodeName), authority, subject: agentSubject(nodeName), server, now });
}

function kubeconfigText(options: { server: string; ca: string; user: string; credentials: KeyPair }): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const { server, ca, user, credentials } = options;
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'taskplane', cluster: { server, 'certificate-authority-data': base64(ca) } }],
      users: [{ name: user, user: { 'client-certificate-data': base64(credentials.cert), 'client-key-data': base64(credentials.key) } }],
      contexts: [{ name: 'taskplane', context: { cluster: 'taskplane', user } }],
      'current-context': 'taskplane',
    },
    { lineWidth: 0 },
  );
}

interface KubeconfigUsers {
  users?: { name?: string; user?: Record<string, string> }[];
}

function usableCredentials(text: string, authority: KeyPair, subject: Subject, now: number): KeyPair | undefined {
  try {
    const user = (parse(text) as KubeconfigUsers).users?.find(({ name }) => name === subject.name)?.user;
    const cert = Buffer.from(user?.['client-certificate-data'] ?? '', 'base64').toString();
    const key = Buffer.from(user?.['client-key-data'] ?? '', 'base64').toString();
    return key !== '' && certificateProblem(cert, authority.cert, now) === undefined ? { cert, key } : undefined;
  } catch {
    // Not a kubeconfig, or a damaged one: make it anew.
    return undefined;
  }
}
