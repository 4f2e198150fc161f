// results.ts: cases and results for tests.

import type { BenchCase } from '../../bench-case.js';
import type { Result } from '../result.js';

export function benchCase(parts: Partial<BenchCase> = {}): BenchCase {
  return { name: 'watch', description: 'What it counts.', stores: ['embedded', 'etcd'], nodes: 10, tasks: 100, run: () => Promise.reject(new Error('only its table is tested')), ...parts };
}

export function result(parts: Partial<Result> = {}): Result {
  return {
    case: 'watch', store: 'embedded', nodes: 10, tasks: 100, value: 1_000, unit: 'tasks/s', better: 'higher', at: '2026-01-02T03:04:05.000Z', run: 'first',
    versions: { taskplane: '0.1.0', commit: 'abc1234', node: 'v20.0.0', etcd: '3.4.0' },
    machine: { cpu: 'A processor', cpus: 2, memoryGiB: 4, kernel: '6.0', disk: 'ext4', fsyncMs: 0.2, loadAverage: 0.1 },
    ...parts,
  };
}
