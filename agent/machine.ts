// machine.ts: what the machine is and has, for the Node object. Everything is read anew, nothing is remembered.

import { readFileSync, statfsSync } from 'node:fs';
import { arch, cpus, hostname, networkInterfaces, release, totalmem } from 'node:os';
import { formatBytes } from '../api/quantity.js';
import type { NodeStatus } from '../api/node.js';
import { tryRead } from './cgroup.js';
import { readMounts } from './cgroup-detect.js';

/** Memory that is left to the system: 5 %, at least 128 MiB and at most 1 GiB, but never more than a quarter. */
export function memoryReserveBytes(totalBytes: number): number {
  const mi = 2 ** 20;
  return Math.min(totalBytes / 4, Math.max(128 * mi, Math.min(1024 * mi, totalBytes * 0.05)));
}

/** How many tasks at once, where nobody says: plenty, so that small tasks are not held up. */
export function tasksMax(cpuCount: number): number {
  return Math.max(110, Math.floor(64 * cpuCount));
}

/** Whole cores that this process may use: those of its cpuset, and of its cgroup's quota where it has one. */
export function cpuCount(): number {
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const count = allowed ? countList(allowed) : cpus().length;
  const quota = quotaCores();
  return quota === undefined ? count : Math.max(1, Math.min(count, Math.floor(quota)));
}

/** `0-3,8` is 5. */
export function countList(list: string): number {
  return list.split(',').reduce((sum, range) => {
    const [first, last] = range.split('-').map(Number) as [number, number?];
    return sum + (last === undefined ? 1 : last - first + 1);
  }, 0);
}

function quotaCores(): number | undefined {
  for (const mount of readMounts()) {
    if (mount.controllers === 'unified') {
      const [quota, period] = (tryRead(`${mount.own}/cpu.max`) ?? 'max').trim().split(' ');
      if (quota !== 'max') return Number(quota) / Number(period);
    } else if (mount.controllers.includes('cpu')) {
      const quota = Number(tryRead(`${mount.own}/cpu.cfs_quota_us`) ?? -1);
      if (quota > 0) return quota / Number(tryRead(`${mount.own}/cpu.cfs_period_us`) ?? 100_000);
    }
  }
  return undefined;
}

/** Total memory, or the limit of the agent's own cgroup where that is less. */
export function memoryTotalBytes(): number {
  const limits = readMounts().flatMap((mount) => {
    const file = mount.controllers === 'unified' ? 'memory.max' : mount.controllers.includes('memory') ? 'memory.limit_in_bytes' : undefined;
    const limit = file === undefined ? NaN : Number(tryRead(`${mount.own}/${file}`) ?? NaN);
    return Number.isFinite(limit) && limit > 0 ? [limit] : [];
  });
  return Math.min(totalmem(), ...limits);
}

export interface DiskSpace {
  totalBytes: number;
  freeBytes: number;
  freeInodes: number;
}

export function diskSpace(path: string): DiskSpace {
  const { bsize, blocks, bavail, ffree } = statfsSync(path);
  return { totalBytes: bsize * blocks, freeBytes: bsize * bavail, freeInodes: ffree };
}

export interface Resources {
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
}

/** @param overrides by `--capacity`: any named resource, and what was detected wrong */
export function resources(dataDir: string, overrides: Readonly<Record<string, string>>): Resources {
  const cores = cpuCount();
  const memoryBytes = Math.floor(memoryTotalBytes() / 1024) * 1024;
  const capacity = {
    cpu: String(cores),
    memory: formatBytes(memoryBytes),
    'ephemeral-storage': formatBytes(diskSpace(dataDir).totalBytes),
    tasks: String(tasksMax(cores)),
    ...overrides,
  };
  const allocatable = { ...capacity };
  // Who sets memory by hand means what tasks may take.
  if (overrides['memory'] === undefined) allocatable.memory = formatBytes(Math.floor((memoryBytes - memoryReserveBytes(memoryBytes)) / 2 ** 20) * 2 ** 20);
  return { capacity, allocatable };
}

export function nodeInfo(isolation: string, version: string): NonNullable<NodeStatus['nodeInfo']> {
  return {
    machineID: tryRead('/etc/machine-id')?.trim() ?? '',
    systemUUID: tryRead('/sys/class/dmi/id/product_uuid')?.trim() ?? '',
    bootID: tryRead('/proc/sys/kernel/random/boot_id')?.trim() ?? '',
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(tryRead('/etc/os-release') ?? '')?.[1] ?? 'Linux',
    containerRuntimeVersion: isolation,
    kubeletVersion: version,
    kubeProxyVersion: '',
    operatingSystem: 'linux',
    architecture: architecture(),
  };
}

/** As Go and Kubernetes name it. */
export function architecture(): string {
  return { x64: 'amd64', ia32: '386' }[arch() as string] ?? arch();
}

export function addresses(): NonNullable<NodeStatus['addresses']> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outward = all.find((address) => !address.internal && address.family === 'IPv4') ?? all.find((address) => !address.internal);
  return [...(outward ? [{ type: 'InternalIP', address: outward.address }] : []), { type: 'Hostname', address: hostname() }];
}

/** Bytes that are available without swapping; undefined on kernels that do not say. */
export function memoryAvailableBytes(): number | undefined {
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(tryRead('/proc/meminfo') ?? '')?.[1];
  return kib === undefined ? undefined : Number(kib) * 1024;
}
