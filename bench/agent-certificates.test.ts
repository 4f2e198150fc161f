import { describe, expect, it } from '@jest/globals';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { makeAuthority } from '../apiserver/pki/certificates.js';
import { credentialsOf } from './agent-certificates.js';

const now = Date.UTC(2026, 10, 21, 12);

describe('the certificates of hollow agents', () => {
  it('are signed by the authority, for a client that is the agent of a node', async () => {
    const authority = await makeAuthority('taskplane', now);
    const { key, certificateOf } = credentialsOf(authority, now);
    const certificate = new X509Certificate(certificateOf('hollow-1234'));
    const issuer = new X509Certificate(authority.cert);
    expect(certificate.verify(issuer.publicKey)).toBe(true);
    expect(certificate.checkIssued(issuer)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(certificate.subject).toBe('O=system:nodes\nCN=system:node:hollow-1234');
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect([Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]).toEqual([now - 3_600_000, now + 86_400_000]);
  });

  it('have names of any length, and serial numbers of their own', async () => {
    const { certificateOf } = credentialsOf(await makeAuthority('taskplane', now), now);
    const names = ['n', 'n'.repeat(63), `${'n'.repeat(60)}.${'m'.repeat(60)}.${'o'.repeat(60)}`];
    const certificates = names.map((name) => new X509Certificate(certificateOf(name)));
    expect(certificates.map(({ subject }) => subject.split('CN=')[1])).toEqual(names.map((name) => `system:node:${name}`));
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(3);
  });
});
