// agent-certificates.ts
//
// Client certificates for thousands of agents, as the authority of the API server would have made them: X.509 v3, ECDSA on
// P-256 (RFC 5280, RFC 5758). They share one key, because making keys is what takes the time, and the server cannot tell.
// Signed natively, each in a twentieth of a millisecond.

import { createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.js';
import { childrenOf, element, oid, tags, time } from '../lib/der.js';

const hourMs = 3_600_000;
const ecdsaWithSha256 = element(tags.sequence, oid('1.2.840.10045.4.3.2'));
/** Subjects' parts: CN and O. */
const commonName = oid('2.5.4.3');
const organization = oid('2.5.4.10');
const yes = element(tags.boolean, Buffer.from([0xff]));
const extensions = element(
  0xa3,
  element(
    tags.sequence,
    // No authority itself; signs digitally; is a client.
    element(tags.sequence, oid('2.5.29.19'), yes, element(tags.octetString, element(tags.sequence))),
    element(tags.sequence, oid('2.5.29.15'), yes, element(tags.octetString, element(tags.bitString, Buffer.from([7, 0x80])))),
    element(tags.sequence, oid('2.5.29.37'), element(tags.octetString, element(tags.sequence, oid('1.3.6.1.5.5.7.3.2')))),
  ),
);

export interface AgentCredentials {
  ca: string;
  key: string;
  /** Of a node, PEM. */
  certificateOf(nodeName: string): string;
}

/** Signs with the authority in the data directory of the API server. */
export async function agentCredentials(dataDirectory: string, clock: Clock): Promise<AgentCredentials> {
  const [ca, caKey] = await Promise.all(['ca.crt', 'ca.key'].map((name) => readFile(join(dataDirectory, 'pki', name), 'utf8')));
  return credentialsOf({ cert: ca!, key: caKey! }, clock.now());
}

/** @param authority PEM @param now milliseconds since the epoch */
export function credentialsOf(authority: { cert: string; key: string }, now: number): AgentCredentials {
  const signingKey = createPrivateKey(authority.key);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const fixed = { issuer: subjectOf(new X509Certificate(authority.cert).raw), validity: element(tags.sequence, time(now - hourMs), time(now + 24 * hourMs)), key: publicKey.export({ type: 'spki', format: 'der' }) };
  return {
    ca: authority.cert,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificateOf: (nodeName) => certificateOf(nodeName, fixed, signingKey),
  };
}

interface Fixed {
  issuer: Buffer;
  validity: Buffer;
  key: Buffer;
}

function certificateOf(nodeName: string, { issuer, validity, key }: Fixed, signingKey: KeyObject): string {
  const serial = randomBytes(16);
  // Positive, and not beginning with a byte of zeros.
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const version3 = element(0xa0, element(tags.integer, Buffer.from([2])));
  const subject = element(tags.sequence, namePart(organization, 'system:nodes'), namePart(commonName, `system:node:${nodeName}`));
  const body = element(tags.sequence, version3, element(tags.integer, serial), ecdsaWithSha256, issuer, validity, subject, key, extensions);
  const signature = element(tags.bitString, Buffer.from([0]), sign('sha256', body, signingKey));
  return pem(element(tags.sequence, body, ecdsaWithSha256, signature));
}

function namePart(type: Buffer, value: string): Buffer {
  return element(tags.set, element(tags.sequence, type, element(tags.utf8String, Buffer.from(value))));
}

/** The name in a certificate, as it is encoded there: after version, serial number, algorithm, issuer and validity. */
function subjectOf(certificate: Buffer): Buffer {
  return childrenOf(childrenOf(certificate)[0]!)[5]!;
}

function pem(encoded: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${encoded.toString('base64').match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`;
}
