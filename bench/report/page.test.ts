import { describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cases } from '../cases.js';
import { chart } from './chart.js';
import { performancePage } from './page.js';
import { publishedFigures } from './records.js';
import { gridTicks, scaleOf, short } from './scale.js';
import { sectionOf, sections } from './sections.js';
import { benchCase, result } from './testing/results.js';
import { readKept, updateReport } from './write.js';

const root = process.cwd();

describe('the page of figures', () => {
  const kept = readKept(join(root, 'docs'));
  const files = performancePage(cases, kept);

  it.each([...files.keys()])('docs/%s is what the kept results say (npm run docs)', (path) => {
    expect(readFileSync(join(root, 'docs', path), 'utf8')).toBe(files.get(path));
  });

  it('has no picture of its own making', () => {
    const folder = join(root, 'docs/performance');
    const pictures = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.svg')) : [];
    expect(pictures.map((name) => `performance/${name}`).filter((path) => !files.has(path))).toEqual([]);
  });

  it('names every case of the table', () => {
    const page = files.get('performance.md')!;
    expect(cases.filter(({ name }) => !page.includes(`\`${name}\``))).toEqual([]);
    expect(cases.filter(({ name }) => sectionOf(name) === sections.at(-1)).map(({ name }) => name)).toEqual([]);
    const beside = publishedFigures.flatMap((published) => published.beside ?? []);
    expect(beside.filter((name) => !page.includes(`| \`${name}`))).toEqual([]);
  });

  const own = [benchCase({ name: 'SchedulingBasic/1', nodes: 1, curve: { name: 'nodes', x: 1 } }), benchCase({ name: 'SchedulingBasic/2', nodes: 20, curve: { name: 'nodes', x: 20 }, targets: [{ figure: 'value', at: 'least', bound: 1_500 }] })];
  const quantiles = [[0.5, 3], [0.99, 40], [1, 90]] as const;
  const results = [
    result({ case: 'SchedulingBasic/1', nodes: 1, p50: 3, p99: 40, quantiles, series: [[1, 900], [2, 1_100]], details: { cpuApiserver: 1.5, loadAverage: 0.3 } }),
    result({ case: 'SchedulingBasic/1', nodes: 1, value: 1_200 }),
    result({ case: 'SchedulingBasic/2', nodes: 20, run: 'second', at: '2026-02-01T00:00:00.000Z' }),
    result({ case: 'SchedulingBasic/2', nodes: 7 }),
  ];

  it('is the same for the same results, and draws what they hold', () => {
    const drawn = performancePage(own, results);
    expect([...performancePage(own, results)]).toEqual([...drawn]);
    expect([...drawn.keys()]).toEqual(['performance/placing-curves.svg', 'performance/placing-throughput.svg', 'performance/placing-latency.svg', 'performance.md']);
    const page = drawn.get('performance.md')!;
    expect(page).toContain('| `SchedulingBasic/1` | embedded | 1,000 tasks/s<br>1,000–1,200 (2×) | 3 | 40 |  |  | b |');
    expect(page).toContain('| `SchedulingBasic/2` | embedded | 1,000 tasks/s |  |  | ≥ 1,500 tasks/s | **no** | a |');
    expect(page).toContain('`SchedulingBasic/2`<br>7 nodes, 100 tasks');
    expect(page).toContain('- `SchedulingBasic/1`, `SchedulingBasic/2`: What it counts.');
  });

  it('is written beside its pictures and results, and what is measured later takes its place in them', () => {
    const directory = mkdtempSync(join(tmpdir(), 'taskplane-report-'));
    try {
      const written = updateReport(directory, own, results);
      expect(written.map((path) => path.slice(directory.length + 1))).toContain('performance/placing-latency.svg');
      const texts = written.map((path) => readFileSync(path, 'utf8'));
      updateReport(directory, own, []);
      expect(written.map((path) => readFileSync(path, 'utf8'))).toEqual(texts);
      updateReport(directory, own, [result({ case: 'SchedulingBasic/1', nodes: 1, value: 7_777, run: 'third', at: '2026-03-01T00:00:00.000Z' })]);
      expect(readFileSync(join(directory, 'performance.md'), 'utf8')).toContain('| `SchedulingBasic/1` | embedded | 7,777 tasks/s |');
      // Nothing is left that could be drawn as latencies.
      expect(existsSync(join(directory, 'performance/placing-latency.svg'))).toBe(false);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('says what has not been measured', () => {
    expect(performancePage(own, []).get('performance.md')).toContain('Not measured yet: `SchedulingBasic/1`, `SchedulingBasic/2`.');
  });
});

describe('a picture', () => {
  it('is well-formed, and escapes what it is given', () => {
    const svg = chart([{ title: 'a < b & "c"', x: { label: 's', kind: 'linear' }, y: { label: 'ms', kind: 'log' }, lines: [{ name: 'etcd', colour: 1, points: [[0, 1], [5, 200]] }] }]);
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    const open: string[] = [];
    for (const [, close, name, self] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
      if (close) expect(open.pop()).toBe(name);
      else if (!self) open.push(name!);
    }
    expect(open).toEqual([]);
  });

  it('has axes that end at round numbers and hold every value', () => {
    const linear = scaleOf('linear', [3, 4_321], 100, true);
    expect([linear.min, linear.max, linear.place(2_500)]).toEqual([0, 5_000, 50]);
    const log = scaleOf('log', [0.3, 42], 100, true);
    expect([log.min, log.max]).toEqual([0.1, 100]);
    expect(gridTicks(log).map(({ text }) => text)).toEqual(['0.1', '1', '10', '100']);
    expect(scaleOf('log', [], 100, true).place(1)).toBe(0);
    expect([short(20_000), short(1_500_000), short(0.002), short(0)]).toEqual(['20k', '1.5M', '0.002', '0']);
  });
});
