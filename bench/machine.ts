// machine.ts: what a figure was measured on: without it no figure can be compared with another.

import { execFile } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Clock } from '../lib/clock.js';
import { percentile, rounded } from './percentiles.js';

const run = promisify(execFile);

export interface Machine {
  cpu: string;
  cpus: number;
  memoryGiB: number;
  kernel: string;
  /** File system of the temporary directory, where stores lie. */
  disk: string;
  /** Milliseconds that a 4 KiB write needs to be on disk, median. */
  fsyncMs: number;
  /** Processes that wanted a processor in the last minute, before the measurement began: above 0.5 the machine was not ours. */
  loadAverage: number;
}

export interface Versions {
  taskplane: string;
  commit: string;
  node: string;
  etcd: string;
}

export async function machineOf(clock: Clock): Promise<Machine> {
  const models = cpus();
  return {
    cpu: models[0]?.model.trim() ?? 'unknown',
    cpus: models.length,
    memoryGiB: rounded(totalmem() / 2 ** 30, 1),
    kernel: release(),
    disk: await outputOf('stat', '-f', '-c', '%T', tmpdir()),
    fsyncMs: fsyncMs(clock),
    loadAverage: rounded(loadavg()[0] ?? 0),
  };
}

export async function versionsOf(): Promise<Versions> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const [commit, changes, etcd] = await Promise.all([outputOf('git', '-C', root, 'rev-parse', '--short', 'HEAD'), outputOf('git', '-C', root, 'status', '--porcelain', '-uno'), outputOf('etcd', '--version')]);
  return { taskplane: version, commit: changes ? `${commit}+changes` : commit, node: process.version, etcd: /etcd Version: (\S+)/.exec(etcd)?.[1] ?? 'none' };
}

async function outputOf(program: string, ...args: string[]): Promise<string> {
  return run(program, args).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

function fsyncMs(clock: Clock): number {
  const directory = mkdtempSync(join(tmpdir(), 'taskplane-fsync-'));
  const file = openSync(join(directory, 'probe'), 'w');
  try {
    const block = Buffer.alloc(4096, 1);
    const samples = Array.from({ length: 50 }, () => {
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
