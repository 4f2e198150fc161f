// compare.ts: `--compare FILE`: how what was measured now differs from what was measured then.

import { grouped } from './targets.js';
import { keyOf, type Summary } from './result.js';

/** `1.31× (better)`; within two percent nothing has changed. */
export function ratioText(now: number, then: number, better: 'higher' | 'lower'): string {
  if (then === 0) return now === 0 ? '1.00× (same)' : '? (was 0)';
  const ratio = now / then;
  if (Math.abs(ratio - 1) < 0.02) return `${ratio.toFixed(2)}× (same)`;
  return `${ratio.toFixed(2)}× (${ratio > 1 === (better === 'higher') ? 'better' : 'worse'})`;
}

/** What may explain a difference beside the change that is to be judged. */
export function circumstances(now: readonly Summary[], then: readonly Summary[]): string[] {
  const lines: string[] = [];
  const differing = (what: string, of: (summary: Summary) => string): void => {
    const [new_, old] = [now, then].map((some) => [...new Set(some.map(of))].join(', '));
    if (new_ !== old) lines.push(`${what} differs: ${old} then, ${new_} now`);
  };
  differing('commit', ({ versions }) => versions.commit);
  differing('machine', ({ machine }) => `${machine.cpus} × ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${machine.disk}`);
  differing('Node', ({ versions }) => versions.node);
  differing('etcd', ({ versions }) => versions.etcd);
  differing('wrapper of attempts', ({ versions }) => versions.wrapper ?? 'shell');
  const busiest = (some: readonly Summary[]): number => Math.max(0, ...some.map(({ machine }) => machine.loadAverage));
  if (Math.max(busiest(now), busiest(then)) > 0.5) lines.push(`the machine was busy with other work: load average up to ${busiest(then)} then, ${busiest(now)} now`);
  return lines;
}

/** A block per case that both have, and a line on each that only one has. @param then of an earlier --json */
export function comparison(now: readonly Summary[], then: readonly Summary[]): string {
  const earlier = new Map(then.map((summary) => [keyOf(summary), summary]));
  const lines = circumstances(now, then).map((line) => `note: ${line}`);
  for (const summary of now) {
    const old = earlier.get(keyOf(summary));
    const title = `${summary.case} ${summary.store} (${summary.nodes} nodes, ${summary.tasks} tasks)`;
    if (!old || old.unit !== summary.unit) {
      lines.push(`${title}: not in the earlier run`);
      continue;
    }
    const figures = [`${grouped(old.value)} → ${grouped(summary.value)} ${summary.unit} ${ratioText(summary.value, old.value, summary.better)}, ${summary.better} is better`];
    for (const name of ['p50', 'p99'] as const) {
      const [a, b] = [old[name], summary[name]];
      if (a !== undefined && b !== undefined) figures.push(`${name} ${grouped(a)} → ${grouped(b)} ms ${ratioText(b, a, 'lower')}`);
    }
    lines.push(`${title}: ${figures.join('; ')}`);
  }
  return `${lines.join('\n')}\n`;
}
