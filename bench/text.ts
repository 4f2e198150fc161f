// text.ts: results and cases as lines for people.

import type { BenchCase } from './bench-case.js';
import type { Result } from './report/result.js';
import { grouped, judge, targetText } from './report/targets.js';

/** One line of the figure, one per target, and the details behind them. */
export function resultText(benchCase: BenchCase, result: Result): string {
  const { store, nodes, tasks, value, unit, p50, p99, details = {} } = result;
  const spread = p50 === undefined ? '' : `  p50 ${grouped(p50)} ms  p99 ${p99 === undefined ? '?' : grouped(p99)} ms`;
  const lines = [`${benchCase.name}  ${store}  ${nodes} nodes, ${tasks} tasks:  ${grouped(value)} ${unit}${spread}`];
  for (const { met, text } of judge(benchCase, result)) lines.push(`    ${met ? 'met   ' : 'MISSED'} ${text}`);
  const told = Object.entries(details).map(([key, detail]) => `${key}=${detail}`);
  if (told.length > 0) lines.push(`    ${told.join(' ')}`);
  return `${lines.join('\n')}\n`;
}

export function listText(cases: readonly BenchCase[]): string {
  return cases
    .map(({ name, description, nodes, tasks, stores, targets = [], onRequest }) => {
      const target = targets.length === 0 ? '' : `\n    target: ${targets.map((one) => targetText(one, '').trim()).join(', ')}`;
      const request = onRequest === undefined ? '' : `\n    only on request: ${onRequest}`;
      return `${name}  (${nodes} nodes, ${tasks} tasks; ${stores.join(', ')})\n    ${description}${target}${request}\n`;
    })
    .join('');
}

/** A line that is written over on a terminal; nothing in a pipe. */
export function progressLine(output: NodeJS.WriteStream, prefix: string): { show(text: string): void; clear(): void } {
  if (!output.isTTY) return { show: () => undefined, clear: () => undefined };
  return {
    show: (text) => void output.write(`\r\u001b[K${`${prefix}: ${text}`.slice(0, Math.max(20, (output.columns ?? 80) - 1))}`),
    clear: () => void output.write('\r\u001b[K'),
  };
}
