// pki.ts
//
// The authority of one installation and what it has signed, under <data-dir>/pki. Made on first start; later starts renew
// what runs out or no longer covers the names of this machine.
//
//   ca.crt is written last of all: with it the authority exists. A key without it was never used and is made anew.

import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { certificateProblem, makeAuthority, makeServerCertificate, missingHosts, type KeyPair } from './certificates.js';
import { readIfPresent, writeSecret } from './files.js';

export interface Pki {
  authority: KeyPair;
  server: KeyPair;
}

/** What is on disk cannot be used, and must not be replaced without a person's word. */
export class PkiError extends Error {
  override readonly name = 'PkiError';
}

export function pkiDir(dataDir: string): string {
  return join(dataDir, 'pki');
}

/** @throws PkiError */
export async function loadAuthority(dataDir: string): Promise<KeyPair | undefined> {
  const dir = pkiDir(dataDir);
  const cert = await readIfPresent(join(dir, 'ca.crt'));
  if (cert === undefined) return undefined;
  const key = await readIfPresent(join(dir, 'ca.key'));
  if (key === undefined) {
    throw new PkiError(`${join(dir, 'ca.crt')} is there but ca.key is not: put the key back, or move the directory ${dir} away to begin with a new authority (every kubeconfig must then be handed out again)`);
  }
  return { cert, key };
}

/**
 * @param options.hosts names and addresses, beside those of this machine, under which the server is reached
 * @param options.now milliseconds since the epoch
 */
export async function preparePki(options: { dataDir: string; hosts: readonly string[]; now: number; logger: Logger }): Promise<Pki> {
  const { dataDir, now, logger } = options;
  const dir = pkiDir(dataDir);
  let authority = await loadAuthority(dataDir);
  if (!authority) {
    authority = await makeAuthority('taskplane-ca', now);
    await writeSecret(join(dir, 'ca.key'), authority.key);
    await writeSecret(join(dir, 'ca.crt'), authority.cert);
    logger.info('A certificate authority was made for this installation; keep its key safe.', { dir });
  }
  return { authority, server: await prepareServer(authority, dir, [...new Set([...machineHosts(), ...options.hosts])], now, logger) };
}

async function prepareServer(authority: KeyPair, dir: string, hosts: readonly string[], now: number, logger: Logger): Promise<KeyPair> {
  const [cert, key] = [await readIfPresent(join(dir, 'server.crt')), await readIfPresent(join(dir, 'server.key'))];
  if (cert !== undefined && key !== undefined) {
    const problem = usable(() => certificateProblem(cert, authority.cert, now) ?? missingHostsProblem(cert, hosts));
    if (problem === undefined) return { cert, key };
    logger.info("The server's certificate is made anew.", { why: problem });
  }
  const made = await makeServerCertificate(authority, hosts, now);
  await writeSecret(join(dir, 'server.key'), made.key);
  await writeSecret(join(dir, 'server.crt'), made.cert);
  return made;
}

function missingHostsProblem(cert: string, hosts: readonly string[]): string | undefined {
  const missing = missingHosts(cert, hosts);
  return missing.length > 0 ? `it does not cover ${missing.join(', ')}` : undefined;
}

/** What cannot be read is made anew, too. */
function usable(problemOf: () => string | undefined): string | undefined {
  try {
    return problemOf();
  } catch (error) {
    return `it cannot be read: ${(error as Error).message}`;
  }
}

/** Names and addresses of this machine. */
function machineHosts(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  // Addresses of a link (fe80::…%eth0) mean nothing elsewhere.
  const own = addresses.filter(({ address }) => !address.includes('%') && !address.startsWith('fe80:')).map(({ address }) => address);
  const name = hostname().toLowerCase();
  const named = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) ? [name] : [];
  return [...new Set(['localhost', ...named, '127.0.0.1', '::1', ...own])];
}
