import { describe, expect, it } from '@jest/globals';
import { scratchDirectory } from './machine.js';
import { named, readFlags } from './flags.js';
import { benchCase } from './report/testing/results.js';
import { listText, resultText } from './text.js';
import { result } from './report/testing/results.js';

const cases = ['basic/1', 'basic/2', 'basic-other', 'watch'].map((name) => benchCase({ name }));
const read = (...args: string[]): ReturnType<typeof readFlags> => readFlags(args, cases);

describe('the flags of the bench', () => {
  it('run everything when there is none', () => {
    expect(read()).toMatchObject({ repeat: 1, json: false, list: false, from: [], report: undefined, compare: undefined, stores: undefined });
    expect(read().cases).toEqual(cases);
  });

  it('run what is on request only when it is named itself', () => {
    const all = [...cases, benchCase({ name: 'basic/huge', onRequest: 'takes an hour' })];
    expect(readFlags([], all).cases).toEqual(cases);
    expect(named('basic', all).map(({ name }) => name)).toEqual(['basic/1', 'basic/2']);
    expect(named('basic/huge', all).map(({ name }) => name)).toEqual(['basic/huge']);
  });

  it('name a case, or all of a family by what is before the slash', () => {
    expect(named('basic', cases).map(({ name }) => name)).toEqual(['basic/1', 'basic/2']);
    expect(named('basic/2', cases).map(({ name }) => name)).toEqual(['basic/2']);
    expect(read('--case', 'watch', '--case', 'basic/1', '--case', 'watch').cases.map(({ name }) => name)).toEqual(['watch', 'basic/1']);
    expect(() => read('--case', 'bas')).toThrow('there is no case bas');
  });

  it('take a directory after --report and files after --from', () => {
    expect(read('--report').report).toBe('docs');
    expect(read('--report', 'out', '--case', 'watch')).toMatchObject({ report: 'out', from: [] });
    expect(read('--report', '--from', 'a', 'b', '--from', 'c')).toMatchObject({ report: 'docs', from: ['a', 'b', 'c'] });
    expect(() => read('--from', 'a')).toThrow('--from goes with --report');
  });

  it.each([['watch'], ['--report', 'a', 'b'], ['--store', 'memory'], ['--nodes', 'many'], ['--repeat', '0'], ['--unknown']])('refuse %s %s', (...args) => {
    expect(() => read(...args)).toThrow();
  });
});

describe('the text of the bench', () => {
  it('says of each target whether it is met', () => {
    const own = benchCase({ name: 'watch', targets: [{ figure: 'value', at: 'least', bound: 5_000 }, { figure: 'p99', at: 'most', bound: 50 }] });
    const text = resultText(own, result({ value: 4_321, unit: 'tasks/s', p50: 7.125, p99: 49, details: { fsyncMs: 0.2 } }));
    expect(text).toBe('watch  embedded  10 nodes, 100 tasks:  4,321 tasks/s  p50 7.13 ms  p99 49 ms\n    MISSED ≥ 5,000 tasks/s\n    met    p99 ≤ 50 ms\n    fsyncMs=0.2\n');
    expect(resultText(own, result({ nodes: 5 }))).not.toContain('MISSED');
    expect(listText([own])).toContain('watch  (10 nodes, 100 tasks; embedded, etcd)');
    expect(listText([benchCase({ onRequest: 'it takes long' })])).toContain('only on request: it takes long');
  });
});

describe('the scratch directory', () => {
  it('is on a disk unless somebody says otherwise', async () => {
    expect(await scratchDirectory({}, async () => 'ext4')).toBe('/tmp');
    expect(await scratchDirectory({}, async () => 'tmpfs')).toBe('/var/tmp');
    expect(await scratchDirectory({ TMPDIR: '/dev/shm/x' }, async () => 'tmpfs')).toBe('/dev/shm/x');
  });
});
