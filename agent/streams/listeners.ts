// listeners.ts
//
// Whose a listening port is. Tasks share the machine's network, so that without this whoever may forward a port of a task
// could reach every service on the machine's loopback interface: databases, and what else trusts its own machine.
//
// Linux: /proc/net/tcp and tcp6 name the inode of each listening socket, /proc/PID/fd those that a process has open.
// https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { endianness } from 'node:os';

export interface Listener {
  /** `127.0.0.1`, `0.0.0.0`, `::`, … */
  address: string;
  port: number;
  inode: string;
}

/** Of the loopback interface, as a client would try them. */
export const loopback = ['127.0.0.1', '::1'] as const;
export type LoopbackAddress = (typeof loopback)[number];

/** Who would answer a connection to an address. */
const answering: Record<LoopbackAddress, ReadonlySet<string>> = {
  '127.0.0.1': new Set(['127.0.0.1', '0.0.0.0', '::ffff:127.0.0.1', '::']),
  '::1': new Set(['::1', '::']),
};

export type Reachability = { address: LoopbackAddress } | { problem: 'nobody listens' | 'others listen' };

/**
 * Where to connect to, so that it is certain that a socket of the task answers: of several listeners that fit, the kernel decides,
 * so all have to be the task's.
 */
export function reachable(listeners: readonly Listener[], port: number, ownsAll: (inodes: readonly string[]) => boolean): Reachability {
  let others = false;
  for (const address of loopback) {
    const fitting = listeners.filter((listener) => listener.port === port && answering[address].has(listener.address));
    if (fitting.length === 0) continue;
    if (ownsAll(fitting.map(({ inode }) => inode))) return { address };
    others = true;
  }
  return { problem: others ? 'others listen' : 'nobody listens' };
}

/** Every listening TCP socket of the agent's network. */
export function readListeners(): Listener[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => parseListeners(tryReadFile(path)));
}

const listening = '0A';

/** @param text of /proc/net/tcp or tcp6 */
export function parseListeners(text: string): Listener[] {
  return text.split('\n').slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [address, port] = (fields[1] ?? '').split(':');
    if (fields[3] !== listening || !address || !port || fields[9] === undefined) return [];
    return [{ address: parseAddress(address), port: Number.parseInt(port, 16), inode: fields[9] }];
  });
}

/** Words of four bytes in the order of the machine, in hexadecimal. */
function parseAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.every((byte) => byte === 0)) return '::';
  if (bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return '::1';
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff) return `::ffff:${bytes.subarray(12).join('.')}`;
  return bytes.toString('hex').replace(/(.{4})(?!$)/g, '$1:');
}

/** Whether processes among these have all of the sockets open. */
export function haveSockets(pids: Iterable<number>, inodes: readonly string[]): boolean {
  const missing = new Set(inodes.map((inode) => `socket:[${inode}]`));
  for (const pid of pids) {
    for (const fd of tryList(`/proc/${pid}/fd`)) {
      if (missing.delete(tryReadlink(`/proc/${pid}/fd/${fd}`)) && missing.size === 0) return true;
    }
  }
  return false;
}

function tryReadFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function tryList(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function tryReadlink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
