// certificates.ts
//
// Certificates of our own authority: ECDSA P-256. The library that makes them takes 55 ms to load, so it is loaded when
// something must be made; looking at what there is needs node:crypto only.

import { X509Certificate, type webcrypto } from 'node:crypto';

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
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

async function library(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(crypto);
  return x509;
}

/** @param now milliseconds since the epoch */
export async function makeAuthority(name: string, now: number): Promise<KeyPair> {
  const x509 = await library();
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [name] }],
    keys,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + caDays * dayMs),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(cert.toString('pem')), key: await exportKey(keys.privateKey) };
}

/** @param hosts names and addresses under which the server is reached */
export function makeServerCertificate(authority: KeyPair, hosts: readonly string[], now: number): Promise<KeyPair> {
  return makeLeaf(authority, { name: 'taskplane-apiserver', groups: [] }, 'server', hosts, now);
}

export function makeClientCertificate(authority: KeyPair, subject: Subject, now: number): Promise<KeyPair> {
  return makeLeaf(authority, subject, 'client', [], now);
}

async function makeLeaf(authority: KeyPair, subject: Subject, use: 'server' | 'client', hosts: readonly string[], now: number): Promise<KeyPair> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(authority.key), algorithm, false, ['sign']);
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const usage = use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const name = [...subject.groups.map((group) => ({ O: [group] })), { CN: [subject.name] }];
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: name,
    issuer: issuer.subject,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(Math.min(now + leafDays * dayMs, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(hosts.length > 0 ? [new x509.SubjectAlternativeNameExtension(hosts.map((host) => ({ type: isAddress(host) ? 'ip' : 'dns', value: host })))] : []),
    ],
  });
  return { cert: pem(cert.toString('pem')), key: await exportKey(keys.privateKey) };
}

/** Positive, 16 bytes of chance: a serial number names a certificate among all of its authority. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)!.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

function pem(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
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
