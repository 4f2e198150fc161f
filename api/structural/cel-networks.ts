// cel-networks.ts: url(), ip() and cidr() in rules.

import { BlockList, isIP } from 'node:net';
import type { Environment } from '@marcbachmann/cel-js';
import type { AddFunction } from './cel-function.js';
import { formatCheck } from './formats.js';

const isUri = formatCheck('uri')!;
const isCidr = formatCheck('cidr')!;

class Url {
  constructor(readonly text: string) {}

  get parsed(): URL | undefined {
    return this.text.startsWith('/') ? undefined : new URL(this.text);
  }
}

class Ip {
  constructor(readonly text: string) {}

  get family(): 4 | 6 {
    return isIP(this.text) === 4 ? 4 : 6;
  }

  within(...networks: readonly [string, number][]): boolean {
    const list = new BlockList();
    const type = this.family === 4 ? 'ipv4' : 'ipv6';
    for (const [network, prefix] of networks) if (isIP(network) === this.family) list.addSubnet(network, prefix, type);
    return list.check(this.text, type);
  }
}

class Cidr {
  readonly address: Ip;
  readonly prefix: number;

  constructor(readonly text: string) {
    const [address = '', prefix = ''] = text.split('/');
    this.address = new Ip(address);
    this.prefix = Number(prefix);
  }

  contains(ip: Ip): boolean {
    return ip.within([this.address.text, this.prefix]);
  }
}

export function registerNetworks(environment: Environment, add: AddFunction): void {
  for (const [name, ctor] of [['kubernetes.URL', Url], ['net.IP', Ip], ['net.CIDR', Cidr]] as const) {
    environment.registerType(name, { ctor, fields: {} });
    environment.registerOperator(`${name} == ${name}`, (a: { text: string }, b: { text: string }) => a.text === b.text);
  }
  registerUrls(add);
  registerAddresses(add);
}

function registerUrls(add: AddFunction): void {
  add('url(string): kubernetes.URL', (text: string) => {
    if (!isUri(text)) throw new Error(`URL parse error during conversion from string: ${JSON.stringify(text)}`);
    return new Url(text);
  });
  add('isURL(string): bool', (text: string) => isUri(text));
  add('kubernetes.URL.getScheme(): string', ({ parsed }: Url) => parsed?.protocol.slice(0, -1) ?? '');
  add('kubernetes.URL.getHost(): string', ({ parsed }: Url) => parsed?.host ?? '');
  add('kubernetes.URL.getHostname(): string', ({ parsed }: Url) => parsed?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '');
  add('kubernetes.URL.getPort(): string', ({ text }: Url) => /^[^/]*\/\/[^/?#]*:(\d+)(?:[/?#]|$)/.exec(text)?.[1] ?? '');
  add('kubernetes.URL.getEscapedPath(): string', ({ text }: Url) => /^(?:[^/?#]*:)?(?:\/\/[^/?#]*)?([^?#]*)/.exec(text)?.[1] ?? '');
  add('kubernetes.URL.getQuery(): map<string, list<string>>', ({ text }: Url) => {
    const all = new Map<string, string[]>();
    for (const [key, value] of new URLSearchParams(/\?([^#]*)/.exec(text)?.[1] ?? '')) all.set(key, [...(all.get(key) ?? []), value]);
    return all;
  });
}

function registerAddresses(add: AddFunction): void {
  add('ip(string): net.IP', (text: string) => {
    if (isIP(text) === 0) throw new Error(`IP Address ${JSON.stringify(text)} parse error during conversion from string`);
    return new Ip(text);
  });
  add('isIP(string): bool', (text: string) => isIP(text) !== 0);
  add('net.IP.family(): int', (ip: Ip) => BigInt(ip.family));
  add('net.IP.isLoopback(): bool', (ip: Ip) => ip.within(['127.0.0.0', 8], ['::1', 128]));
  add('net.IP.isUnspecified(): bool', (ip: Ip) => ip.within(['0.0.0.0', 32], ['::', 128]));
  add('net.IP.isLinkLocalUnicast(): bool', (ip: Ip) => ip.within(['169.254.0.0', 16], ['fe80::', 10]));
  add('net.IP.isLinkLocalMulticast(): bool', (ip: Ip) => ip.within(['224.0.0.0', 24], ['ff02::', 16]));
  add('string(net.IP): string', (ip: Ip) => ip.text);
  add('cidr(string): net.CIDR', (text: string) => {
    if (!isCidr(text)) throw new Error(`CIDR ${JSON.stringify(text)} parse error during conversion from string`);
    return new Cidr(text);
  });
  add('isCIDR(string): bool', (text: string) => isCidr(text));
  add('net.CIDR.containsIP(net.IP): bool', (cidr: Cidr, ip: Ip) => cidr.contains(ip));
  add('net.CIDR.containsIP(string): bool', (cidr: Cidr, text: string) => isIP(text) !== 0 && cidr.contains(new Ip(text)));
  add('net.CIDR.prefixLength(): int', ({ prefix }: Cidr) => BigInt(prefix));
  add('net.CIDR.ip(): net.IP', ({ address }: Cidr) => address);
}
