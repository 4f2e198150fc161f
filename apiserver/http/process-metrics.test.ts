import { describe, expect, it } from '@jest/globals';
import { closeSync, openSync } from 'node:fs';
import { Registry } from 'prom-client';
import { collectProcessMetrics } from './process-metrics.js';

describe('the metrics of the process', () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const openFiles = async () => Number(/^process_open_fds (\d+)$/m.exec(await registry.metrics())?.[1]);

  it('count the open files', async () => {
    const before = await openFiles();
    const more = Array.from({ length: 50 }, () => openSync('/dev/null', 'r'));
    const during = await openFiles();
    for (const file of more) closeSync(file);
    expect(during - before).toBeGreaterThan(40);
    expect(during - before).toBeLessThan(60);
  });

  it('have what a dashboard for Node looks for, and no list of all connections', async () => {
    const text = await registry.metrics();
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_heap_size_used_bytes', 'process_max_fds']) expect(text).toContain(`\n${name} `);
    expect(text).not.toContain('nodejs_active_');
  });
});
