// agent-certificates.ts: client certificates for thousands of agents. They share one key, because making keys is what takes
// the time; the server cannot tell.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.js';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const hourMs = 3_600_000;

export interface AgentCredentials {
  ca: string;
  key: string;
  /** Of a node, PEM. */
  certificateOf(nodeName: string): Promise<string>;
}

/** Signs with the authority in the data directory of the API server. */
export async function agentCredentials(dataDirectory: string, clock: Clock): Promise<AgentCredentials> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(crypto);
  const [ca, caKey] = await Promise.all(['ca.crt', 'ca.key'].map((name) => readFile(join(dataDirectory, 'pki', name), 'utf8')));
  const issuer = new x509.X509Certificate(ca!);
  const signingKey = await crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(caKey!), algorithm, false, ['sign']);
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  const now = clock.now();
  const certificateOf = async (nodeName: string): Promise<string> => {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
      subject: [{ O: ['system:nodes'] }, { CN: [`system:node:${nodeName}`] }],
      issuer: issuer.subject,
      notBefore: new Date(now - hourMs),
      notAfter: new Date(now + 24 * hourMs),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey,
      extensions: [new x509.BasicConstraintsExtension(false, undefined, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true), new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
    });
    return certificate.toString('pem');
  };
  return { ca: ca!, key, certificateOf };
}
