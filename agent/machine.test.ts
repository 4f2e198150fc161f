import { describe, expect, it } from '@jest/globals';
import { readMounts } from './cgroup-detect.js';
import { cpuShares, cpuWeight } from './cgroup-v2.js';
import { countList, memoryReserveBytes, tasksMax } from './machine.js';
import { nodeConditions, type Observed } from './node-status.js';
import { parseStat } from './proc.js';
import { findInPasswd } from './users.js';

describe('what the machine tells', () => {
  it('reads mounts of both cgroup versions', () => {
    const mountinfo = [
      '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw',
      '32 31 0:29 / /mnt/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct',
      '40 31 0:40 / /mnt/unified rw - cgroup2 cgroup2 rw',
    ].join('\n');
    expect(readMounts(mountinfo, '2:cpu,cpuacct:/a\n0::/b\n')).toEqual([
      { controllers: ['cpu', 'cpuacct'], path: '/mnt/cpu', own: '/mnt/cpu' },
      { controllers: 'unified', path: '/mnt/unified', own: '/mnt/unified' },
    ]);
  });

  it('converts cpu requests as Kubernetes does', () => {
    expect([undefined, 100, 500, 1_000, 1e9].map(cpuShares)).toEqual([2, 102, 512, 1_024, 262_144]);
    expect([undefined, 1_000, 1e9].map(cpuWeight)).toEqual([1, 39, 10_000]);
  });

  it('leaves memory to the system', () => {
    const gi = 2 ** 30;
    expect([0.25 * gi, gi, 8 * gi, 256 * gi].map((bytes) => memoryReserveBytes(bytes) / 2 ** 20)).toEqual([64, 128, 409.6, 1_024]);
  });

  it('counts cpus and allows for plenty of tasks', () => {
    expect(['0', '0-3', '0-1,4,8-9'].map(countList)).toEqual([1, 4, 5]);
    expect([1, 2, 16].map(tasksMax)).toEqual([110, 128, 1_024]);
  });

  it('reads processes with any name', () => {
    expect(parseStat(`7 (a) b (c) S 1 7 9 ${'0 '.repeat(7)}150 50 ${'0 '.repeat(6)}777 0 3 0`)).toMatchObject({ pid: 7, state: 'S', session: 9, startTicks: '777', cpuSeconds: 2, residentBytes: 12_288 });
    expect(parseStat('nonsense')).toBeUndefined();
  });

  it('finds users by name before number', () => {
    const passwd = 'root:x:0:0:root:/root:/bin/sh\n1000:x:5:5::/odd:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n';
    expect(findInPasswd(passwd, 'me')).toMatchObject({ uid: 1000, home: '/home/me' });
    expect(findInPasswd(passwd, '1000')).toMatchObject({ uid: 5 });
    expect(findInPasswd(passwd, '0')).toMatchObject({ name: 'root' });
    expect(findInPasswd(passwd, 'nobody')).toBeUndefined();
  });
});

describe('nodeConditions', () => {
  const observed = (parts: Partial<Observed>): Observed => ({ disk: { totalBytes: 1e11, freeBytes: 5e10, freeInodes: 1e6 }, memory: { totalBytes: 1e10, availableBytes: 5e9 }, isolationProblem: undefined, before: undefined, now: 0, ...parts });
  const status = (parts: Partial<Observed>) => Object.fromEntries(nodeConditions(observed(parts)).map(({ type, status: value, reason }) => [type, `${value} ${reason}`]));

  it('is ready on a healthy machine', () => {
    expect(status({})).toEqual({ Ready: 'True AgentReady', DiskPressure: 'False DiskHasRoom', MemoryPressure: 'False MemoryAvailable' });
  });

  it('takes no new tasks when the disk is full, until there is clearly room again', () => {
    const full = { disk: { totalBytes: 1e11, freeBytes: 1e8, freeInodes: 1e6 } };
    expect(status(full)).toMatchObject({ Ready: 'False DiskFull', DiskPressure: 'True DiskFull' });
    const before = nodeConditions(observed(full));
    expect(status({ before, disk: { totalBytes: 1e11, freeBytes: 6e8, freeInodes: 1e6 } })).toMatchObject({ Ready: 'False DiskFull' });
    expect(status({ before, disk: { totalBytes: 1e11, freeBytes: 1e9, freeInodes: 1e6 } })).toMatchObject({ Ready: 'True AgentReady' });
  });

  it('says so when memory is short or tasks are not isolated', () => {
    expect(status({ memory: { totalBytes: 1e10, availableBytes: 1e8 } })).toMatchObject({ MemoryPressure: 'True MemoryShort' });
    expect(nodeConditions(observed({ isolationProblem: 'limits are not enforced' })).find(({ type }) => type === 'Ready')?.message).toBe('the agent runs tasks; limits are not enforced');
  });
});
