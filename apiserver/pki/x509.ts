// x509.ts
//
// Certificates, written: X.509 v3 (RFC 5280), signed with ECDSA on P-256 and SHA-256 (RFC 5758). Just the few forms that an
// authority of our own needs. Looking at certificates is node:crypto's business; it cannot make them, and the library that can takes
// more memory than a third of all that the server does.

import { createHash, createPrivateKey, createPublicKey, generateKeyPair, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import { promisify } from 'node:util';
import { childrenOf, element, oid, tags, time, valueOf } from '../../lib/der.js';

export type Use = 'server' | 'client';

export interface CertificateOptions {
  /** Parts of the subject's name, in order. */
  subject: readonly (readonly [type: 'CN' | 'O', value: string])[];
  /** Milliseconds since the epoch; whole seconds count. */
  notBefore: number;
  notAfter: number;
  publicKey: KeyObject;
  /** An authority names no use, a leaf the one it is for. */
  use: Use | undefined;
  /** Names and addresses of a server. */
  hosts?: readonly string[];
  /** PEM; the certificate signs itself with `signingKey` when there is none. */
  issuer?: string;
  signingKey: KeyObject;
}

const ecdsaWithSha256 = element(tags.sequence, oid('1.2.840.10045.4.3.2'));
const nameTypes = { CN: oid('2.5.4.3'), O: oid('2.5.4.10') } as const;
const uses = { server: oid('1.3.6.1.5.5.7.3.1'), client: oid('1.3.6.1.5.5.7.3.2') } as const;
const yes = element(tags.boolean, Buffer.from([0xff]));

const makeKeys = promisify(generateKeyPair);

/** A new pair on P-256. */
export function newKeys(): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return makeKeys('ec', { namedCurve: 'P-256' });
}

/** @returns PEM @throws Error for a host that looks like an address and is none */
export function makeCertificate(options: CertificateOptions): string {
  const { subject, notBefore, notAfter, publicKey, issuer, signingKey } = options;
  const name = element(tags.sequence, ...subject.map(([type, value]) => element(tags.set, element(tags.sequence, nameTypes[type], element(tags.utf8String, Buffer.from(value))))));
  const body = element(
    tags.sequence,
    element(0xa0, integer(2)),
    element(tags.integer, serialNumber()),
    ecdsaWithSha256,
    issuer === undefined ? name : subjectOf(issuer),
    element(tags.sequence, time(notBefore), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa3, element(tags.sequence, ...extensionsOf(options))),
  );
  const signature = element(tags.bitString, Buffer.from([0]), sign('sha256', body, signingKey));
  return pem('CERTIFICATE', element(tags.sequence, body, ecdsaWithSha256, signature));
}

/** @returns PEM, PKCS 8 */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** @param key PEM */
export function privateKeyOf(key: string): KeyObject {
  return createPrivateKey(key);
}

function extensionsOf({ publicKey, use, hosts = [], issuer }: CertificateOptions): Buffer[] {
  if (use === undefined) {
    return [
      // An authority, for leaves alone; signs certificates and lists of revoked ones.
      extension('2.5.29.19', true, element(tags.sequence, yes, integer(0))),
      extension('2.5.29.15', true, element(tags.bitString, Buffer.from([1, 0x06]))),
      extension('2.5.29.14', false, element(tags.octetString, keyIdentifier(publicKey))),
    ];
  }
  return [
    extension('2.5.29.19', true, element(tags.sequence)),
    extension('2.5.29.15', true, element(tags.bitString, Buffer.from([7, 0x80]))),
    extension('2.5.29.37', false, element(tags.sequence, uses[use])),
    ...(issuer === undefined ? [] : [extension('2.5.29.35', false, element(tags.sequence, element(0x80, keyIdentifier(createPublicKey(issuer)))))]),
    ...(hosts.length === 0 ? [] : [extension('2.5.29.17', false, element(tags.sequence, ...hosts.map(generalName)))]),
  ];
}

function extension(type: string, critical: boolean, value: Buffer): Buffer {
  return element(tags.sequence, oid(type), ...(critical ? [yes] : []), element(tags.octetString, value));
}

function integer(value: number): Buffer {
  return element(tags.integer, Buffer.from([value]));
}

/** RFC 5280 4.2.1.2, method 1. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const bits = childrenOf(publicKey.export({ type: 'spki', format: 'der' }))[1]!;
  return createHash('sha1').update(valueOf(bits).subarray(1)).digest();
}

function generalName(host: string): Buffer {
  if (isIP(host) !== 0) return element(0x87, addressBytes(host));
  if (/^[0-9.]+$/.test(host) || host.includes(':')) throw new Error(`${host} is neither a name nor an address that a certificate can be for`);
  return element(0x82, Buffer.from(host, 'ascii'));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [before = '', after] = address.split('::');
  const head = groupsOf(before);
  const tail = groupsOf(after ?? '');
  return Buffer.concat([head, Buffer.alloc(16 - head.length - tail.length), tail]);
}

/** Groups of four hexadecimal digits; the last may be an address of version 4. */
function groupsOf(text: string): Buffer {
  const groups = text === '' ? [] : text.split(':');
  return Buffer.concat(groups.map((group) => (isIPv4(group) ? addressBytes(group) : Buffer.from(group.padStart(4, '0'), 'hex'))));
}

/** Positive, 16 bytes of chance: a serial number names a certificate among all of its authority. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

/** The name in a certificate, as it is encoded there: after version, serial number, algorithm, issuer and validity. */
function subjectOf(certificate: string): Buffer {
  return childrenOf(childrenOf(new X509Certificate(certificate).raw)[0]!)[5]!;
}

function pem(label: string, encoded: Buffer): string {
  return `-----BEGIN ${label}-----\n${encoded.toString('base64').match(/.{1,64}/g)!.join('\n')}\n-----END ${label}-----\n`;
}
