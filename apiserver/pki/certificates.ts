// certificates.ts
//
// Certificates of our own authority: ECDSA P-256.

import { X509Certificate } from 'node:crypto';
import { makeCertificate, newKeys, privateKeyOf, privateKeyPem, type Use } from './x509.js';

export interface KeyPair {
  /** PEM, with the certificate. */
  cert: string;
  /** PEM, PKCS 8. Secret. */
  key: string;
}

/** Who a client certificate is for: CN and O, as Kubernetes reads them. */
export interface Subject {
  name: string;
  groups: readonly string[];
}

/** Days that what we make is valid. Servers and clients renew theirs long before. */
const caDays = 3650;
const leafDays = 730;
/** What has less than this left is made anew at the next start. */
export const renewBeforeDays = 90;

const dayMs = 24 * 60 * 60 * 1000;
/** Clocks of other machines may be behind ours. */
const backdateMs = 60 * 60 * 1000;

/** @param now milliseconds since the epoch */
export async function makeAuthority(name: string, now: number): Promise<KeyPair> {
  const { publicKey, privateKey } = await newKeys();
  const cert = makeCertificate({ subject: [['CN', name]], notBefore: now - backdateMs, notAfter: now + caDays * dayMs, publicKey, use: undefined, signingKey: privateKey });
  return { cert, key: privateKeyPem(privateKey) };
}

/** @param hosts names and addresses under which the server is reached */
export function makeServerCertificate(authority: KeyPair, hosts: readonly string[], now: number): Promise<KeyPair> {
  return makeLeaf(authority, { name: 'taskplane-apiserver', groups: [] }, 'server', hosts, now);
}

export function makeClientCertificate(authority: KeyPair, subject: Subject, now: number): Promise<KeyPair> {
  return makeLeaf(authority, subject, 'client', [], now);
}

async function makeLeaf(authority: KeyPair, { name, groups }: Subject, use: Use, hosts: readonly string[], now: number): Promise<KeyPair> {
  const { publicKey, privateKey } = await newKeys();
  const cert = makeCertificate({
    subject: [...groups.map((group) => ['O', group] as const), ['CN', name]],
    notBefore: now - backdateMs,
    notAfter: Math.min(now + leafDays * dayMs, Date.parse(new X509Certificate(authority.cert).validTo)),
    publicKey,
    use,
    hosts,
    issuer: authority.cert,
    signingKey: privateKeyOf(authority.key),
  });
  return { cert, key: privateKeyPem(privateKey) };
}

export function isAddress(host: string): boolean {
  return /^[0-9.]+$/.test(host) || host.includes(':');
}

/** Why a certificate cannot be used any more, or undefined. */
export function certificateProblem(cert: string, authorityCert: string, now: number): string | undefined {
  const parsed = new X509Certificate(cert);
  if (!parsed.verify(new X509Certificate(authorityCert).publicKey)) return 'it was signed by another authority';
  if (Date.parse(parsed.validTo) - now < renewBeforeDays * dayMs) return `it expires on ${parsed.validTo}`;
  return undefined;
}

/** The hosts that a server certificate does not cover. */
export function missingHosts(cert: string, hosts: readonly string[]): string[] {
  const parsed = new X509Certificate(cert);
  return hosts.filter((host) => (isAddress(host) ? parsed.checkIP(host) : parsed.checkHost(host)) === undefined);
}
