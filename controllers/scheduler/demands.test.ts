import { describe, expect, it } from '@jest/globals';
import { Demands } from './demands.js';
import { ResourceTable } from './resources.js';
import { asking } from './test-world.js';

describe('demands', () => {
  const demands = new Demands(new ResourceTable());
  const command = ['true'];

  it('are shared by tasks that ask for the same, whatever else they say', () => {
    expect(demands.of({ command, ...asking('1', '1Gi') })).toBe(demands.of({ command: ['false'], priority: 3, ...asking('1', '1Gi') }));
  });

  it('tell apart whatever a decision depends on', () => {
    const specs = [
      {}, asking('1'), asking('2'), asking('1', '1Gi'), { nodeName: 'a' }, { nodeSelector: { a: 'b' } }, { nodeSelector: { a: 'b', c: 'd' } },
      { tolerations: [{ key: 'a', operator: 'Exists' as const }] }, { tolerations: [{ key: 'a', value: 'b' }] },
    ];
    expect(new Set(specs.map((spec) => demands.of({ command, ...spec }).key)).size).toBe(specs.length);
  });

  it('have one name when the same is said in other words', () => {
    expect(demands.of({ command, ...asking('1000m') }).key).toBe(demands.of({ command, ...asking('1') }).key);
    expect(demands.of({ command, nodeSelector: { a: '1', b: '2' } }).key).toBe(demands.of({ command, nodeSelector: { b: '2', a: '1' } }).key);
  });
});
