// The library asks for it when it is loaded.
import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { X509Certificate as Library } from '@peculiar/x509';
import { X509Certificate } from 'node:crypto';
import { makeAuthority, makeClientCertificate, makeServerCertificate } from './certificates.js';

const now = Date.UTC(2026, 5, 1, 12, 30, 15);
const extensionsOf = (cert: string): string[] => new Library(cert).extensions.map(({ type, critical, value }) => `${type} ${critical} ${Buffer.from(value).toString('hex')}`);

describe('certificates that are made here', () => {
  it('are an authority and a leaf of it, whose words another reader finds where they belong', async () => {
    const authority = await makeAuthority('taskplane-ca', now);
    const hosts = ['localhost', 'api.example.com', '127.0.0.1', '::1', 'fd00::1:2', '2001:db8:1:2:3:4:5:6', '::ffff:10.0.0.1', 'fe80::'];
    const server = await makeServerCertificate(authority, hosts, now);
    const parsed = new X509Certificate(server.cert);
    const issuer = new X509Certificate(authority.cert);
    expect([issuer.ca, issuer.verify(issuer.publicKey), issuer.checkIssued(issuer)]).toEqual([true, true, true]);
    expect([parsed.ca, parsed.verify(issuer.publicKey), parsed.checkIssued(issuer)]).toEqual([false, true, true]);
    expect(hosts.filter((host) => (parsed.checkHost(host) ?? parsed.checkIP(host)) === undefined)).toEqual([]);
    expect(parsed.checkIP('fd00::1:3')).toBeUndefined();
    expect(parsed.subject).toBe('CN=taskplane-apiserver');
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect([parsed.validFrom, parsed.validTo].map((text) => new Date(text).toISOString())).toEqual(['2026-06-01T11:30:15.000Z', '2028-05-31T12:30:15.000Z']);
    const identifier = extensionsOf(authority.cert).find((text) => text.startsWith('2.5.29.14'))!.slice(-40);
    expect(extensionsOf(server.cert).find((text) => text.startsWith('2.5.29.35'))).toBe(`2.5.29.35 false 30168014${identifier}`);
    expect(extensionsOf(authority.cert).slice(0, 2)).toEqual(['2.5.29.19 true 30060101ff020100', '2.5.29.15 true 03020106']);
  });

  it('name the user and its groups, and end no later than their authority', async () => {
    const authority = await makeAuthority('taskplane-ca', now);
    const late = now + 3_600 * 86_400_000;
    const { cert } = await makeClientCertificate(authority, { name: 'zoë', groups: ['a', 'system:masters'] }, late);
    const parsed = new X509Certificate(cert);
    expect(parsed.subject).toBe('O=a\nO=system:masters\nCN=zoë');
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(parsed.validTo).toBe(new X509Certificate(authority.cert).validTo);
  });

  it('can end after 2049, and are not made for what is no host', async () => {
    const authority = await makeAuthority('taskplane-ca', Date.UTC(2045, 0, 1));
    expect(new Date(new X509Certificate(authority.cert).validTo).getUTCFullYear()).toBe(2054);
    await expect(makeServerCertificate(authority, ['1.2.3'], now)).rejects.toThrow(/1\.2\.3 is neither/);
  });
});
