import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { BasicConstraintsExtension, ExtendedKeyUsage, ExtendedKeyUsageExtension, PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator, type X509Certificate } from '@peculiar/x509';
import { webcrypto, type webcrypto as WebCrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../../lib/clock.js';
import { SeededRandom } from '../../../lib/random.js';
import { EtcdProcess } from '../../../lib/testing/etcd-process.js';
import { take, written } from '../store-contract.js';
import { EtcdStore } from './etcd-store.js';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const clock = new SystemClock();
const notBefore = new Date(clock.now() - 60_000);
const notAfter = new Date(clock.now() + 3_600_000);

interface Issued {
  readonly cert: X509Certificate;
  readonly keys: WebCrypto.CryptoKeyPair;
}

async function newAuthority(): Promise<Issued> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as WebCrypto.CryptoKeyPair;
  const cert = await X509CertificateGenerator.createSelfSigned(
    { serialNumber: '01', name: 'CN=test-ca', notBefore, notAfter, keys, signingAlgorithm: algorithm, extensions: [new BasicConstraintsExtension(true, undefined, true)] },
  );
  return { cert, keys };
}

async function issue(authority: Issued, name: string): Promise<Issued> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as WebCrypto.CryptoKeyPair;
  const cert = await X509CertificateGenerator.create(
    {
      serialNumber: '02',
      subject: `CN=${name}`,
      issuer: authority.cert.subject,
      notBefore,
      notAfter,
      publicKey: keys.publicKey,
      signingKey: authority.keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
      ],
    },
  );
  return { cert, keys };
}

async function keyPem({ keys }: Issued): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
}

describe('EtcdStore over TLS', () => {
  it('works with a client certificate and is refused without', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'taskplane-etcd-tls-'));
    const authority = await newAuthority();
    const [server, client] = [await issue(authority, 'etcd'), await issue(authority, 'apiserver')];
    const file = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text, { mode: 0o600 });
      return join(directory, name);
    };
    const ca = authority.cert.toString('pem');
    const flags = [
      ...['--cert-file', file('server.crt', server.cert.toString('pem')), '--key-file', file('server.key', await keyPem(server))],
      ...['--client-cert-auth', '--trusted-ca-file', file('ca.crt', ca)],
    ];
    const etcd = await EtcdProcess.start({ scheme: 'https', flags });
    const shared = { endpoints: [etcd.endpoint], presencePrefix: '/taskplane/registry/presence/', clock, random: new SeededRandom(1) };
    const store = EtcdStore.open({ ...shared, tls: { ca: Buffer.from(ca), cert: Buffer.from(client.cert.toString('pem')), key: Buffer.from(await keyPem(client)) } });
    const stranger = EtcdStore.open({ ...shared, tls: { ca: Buffer.from(ca) } });
    try {
      const { revision } = await store.list('/taskplane/registry/');
      const watching = take(store, '/taskplane/registry/', revision, 1);
      await written(store.write({ op: 'create', key: '/taskplane/registry/a', value: '{}' }));
      expect(await watching).toHaveLength(1);
      await expect(stranger.read('/taskplane/registry/a')).rejects.toMatchObject({ name: 'StoreUnavailableError' });
    } finally {
      await store.close();
      await stranger.close();
      await etcd.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  }, 30_000);
});
