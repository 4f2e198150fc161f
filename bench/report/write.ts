// write.ts: the report's files: the page, its pictures, and the results that both are drawn from.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchCase } from '../bench-case.js';
import { performancePage } from './page.js';
import { newestOf, parseResults, slimmed, type Result } from './result.js';

/** Relative to the directory of the page. */
export const resultsFile = 'performance/results.jsonl';

export function readKept(directory: string): Result[] {
  const path = join(directory, resultsFile);
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text === '' ? [] : parseResults(text, path);
}

/** What is kept of earlier and new results: of each case, store and size the newest run; cases that are no more are dropped. */
export function merged(cases: readonly BenchCase[], kept: readonly Result[], added: readonly Result[]): Result[] {
  const place = new Map(cases.map(({ name }, index) => [name, index]));
  const all = newestOf([...kept, ...added]).filter(({ case: name }) => place.has(name));
  const unique = [...new Map(slimmed(all).map((result) => [JSON.stringify(result), result])).values()];
  const text = ({ store, nodes, tasks, at }: Result): string => `${store} ${String(nodes).padStart(9)} ${String(tasks).padStart(9)} ${at}`;
  return unique.sort((a, b) => place.get(a.case)! - place.get(b.case)! || (text(a) < text(b) ? -1 : 1));
}

/**
 * Adds results to those of the report and writes it.
 * @param directory of performance.md
 * @returns the paths of what was written
 */
export function updateReport(directory: string, cases: readonly BenchCase[], added: readonly Result[]): string[] {
  const results = merged(cases, readKept(directory), added);
  const files = new Map([...performancePage(cases, results), [resultsFile, results.map((result) => `${JSON.stringify(result)}\n`).join('')]]);
  mkdirSync(join(directory, 'performance'), { recursive: true });
  for (const name of readdirSync(join(directory, 'performance'))) {
    if (name.endsWith('.svg') && !files.has(`performance/${name}`)) rmSync(join(directory, 'performance', name));
  }
  return [...files].map(([path, text]) => {
    writeFileSync(join(directory, path), text);
    return join(directory, path);
  });
}
