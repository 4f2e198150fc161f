import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { BasicConstraintsExtension, ExtendedKeyUsageExtension, PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator, type X509Certificate } from '@peculiar/x509';

export interface Pair {
  cert: string;
  key: string;
}

/** An authority for one test, and what it signs. */
export class TestAuthority {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: X509Certificate;

  static async create(): Promise<TestAuthority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned(
      { name: 'CN=test authority', keys, notBefore: past, notAfter: future, signingAlgorithm, extensions: [new BasicConstraintsExtension(true, 1, true)] },
      crypto,
    );
    return new TestAuthority(keys, certificate);
  }

  private constructor(keys: webcrypto.CryptoKeyPair, certificate: X509Certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
  }

  get ca(): string {
    return this.#certificate.toString('pem');
  }

  /** @param hosts names and addresses of a server; a client has none */
  async sign(commonName: string, hosts: readonly string[] = []): Promise<Pair> {
    const keys = await newKeys();
    const names = hosts.map((value) => ({ type: /^[0-9.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value }));
    const usage = new ExtendedKeyUsageExtension([hosts.length > 0 ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2']);
    const certificate = await X509CertificateGenerator.create(
      {
        subject: `CN=${commonName}`,
        issuer: this.#certificate.subject,
        publicKey: keys.publicKey,
        signingKey: this.#keys.privateKey,
        notBefore: past,
        notAfter: future,
        signingAlgorithm,
        extensions: [usage, ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : [])],
      },
      crypto,
    );
    return { cert: certificate.toString('pem'), key: PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY') };
  }
}

const crypto = webcrypto;
const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const past = new Date('2020-01-01T00:00:00Z');
const future = new Date('2090-01-01T00:00:00Z');

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify']);
}
