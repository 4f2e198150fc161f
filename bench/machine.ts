// machine.ts: what a figure was measured on: without it no figure can be compared with another.

import { execFile } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findNativeWrapper } from '../agent/native-wrapper.js';
import type { Clock } from '../lib/clock.js';
import { percentile, rounded } from './percentiles.js';

const run = promisify(execFile);

export interface Machine {
  cpu: string;
  cpus: number;
  memoryGiB: number;
  kernel: string;
  /** File system of the scratch directory, where stores lie: `ext4`; `tmpfs` is no disk. */
  disk: string;
  /** Milliseconds that a 4 KiB write needs to be on disk, median. */
  fsyncMs: number;
  /** Processes that wanted a processor in the last minute, before the measurement began: above 0.5 the machine was not ours. */
  loadAverage: number;
}

export interface Versions {
  taskplane: string;
  /** With `+changes` when files differed from it; the figures themselves, which are in docs, do not count. */
  commit: string;
  node: string;
  etcd: string;
  /** What watches over each attempt. Absent in results from when there was only the shell. */
  wrapper?: 'program' | 'shell';
}

export async function machineOf(clock: Clock): Promise<Machine> {
  const models = cpus();
  return {
    cpu: models[0]?.model.trim() ?? 'unknown',
    cpus: models.length,
    memoryGiB: rounded(totalmem() / 2 ** 30, 1),
    kernel: release(),
    disk: await fileSystemOf(tmpdir()),
    fsyncMs: fsyncMs(clock),
    loadAverage: loadAverage(),
  };
}

export async function versionsOf(): Promise<Versions> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const [commit, changes, etcd] = await Promise.all([outputOf('git', '-C', root, 'rev-parse', '--short', 'HEAD'), outputOf('git', '-C', root, 'status', '--porcelain', '-uno', '--', ':!docs'), outputOf('etcd', '--version')]);
  return { taskplane: version, commit: !commit ? 'unknown' : changes ? `${commit}+changes` : commit, node: process.version, etcd: /etcd Version: (\S+)/.exec(etcd)?.[1] ?? 'none', wrapper: findNativeWrapper() ? 'program' : 'shell' };
}

/**
 * Where stores are to lie: TMPDIR when it is set, else the system's temporary directory unless that is memory. A store in
 * memory syncs nothing, and its figures would be those of a promise that nobody keeps.
 */
export async function scratchDirectory(env: Readonly<Record<string, string | undefined>>, fileSystem = fileSystemOf): Promise<string> {
  if (env['TMPDIR']) return env['TMPDIR'];
  const usual = '/tmp';
  return (await fileSystem(usual)) === 'tmpfs' ? '/var/tmp' : usual;
}

async function fileSystemOf(directory: string): Promise<string> {
  return (await outputOf('findmnt', '--noheadings', '--output', 'FSTYPE', '--target', directory)) || outputOf('stat', '-f', '-c', '%T', directory);
}

async function outputOf(program: string, ...args: string[]): Promise<string> {
  return run(program, args).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

/** Of the last minute. */
export function loadAverage(): number {
  return rounded(loadavg()[0] ?? 0);
}

const probes = 50;

/** Milliseconds that a 4 KiB write in the scratch directory needs to be on disk, the median of 50. */
export function fsyncMs(clock: Clock): number {
  const directory = mkdtempSync(join(tmpdir(), 'taskplane-fsync-'));
  const file = openSync(join(directory, 'probe'), 'w');
  try {
    const block = Buffer.alloc(4096, 1);
    const samples = Array.from({ length: probes }, () => {
      const start = clock.monotonic();
      writeSync(file, block);
      fdatasyncSync(file);
      return clock.monotonic() - start;
    });
    return rounded(percentile(samples, 0.5), 3);
  } finally {
    closeSync(file);
    rmSync(directory, { recursive: true });
  }
}
