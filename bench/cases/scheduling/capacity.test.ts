import { describe, expect, it } from '@jest/globals';
import { parseMilli } from '../../../api/quantity.js';
import { capacityFor, descriptorsMaxIn, requestsInTurn, serversFor } from './capacity.js';

describe('the nodes of a scheduling case', () => {
  it.each([[500, 20_000], [5_000, 10_000], [1, 1], [7, 100_000]])('%i hold %i tasks, even the largest on every place', (nodes, tasks) => {
    const has = capacityFor(nodes, tasks);
    const perNode = Math.ceil(tasks / nodes);
    for (const request of requestsInTurn) for (const resource of ['cpu', 'memory'] as const) expect(parseMilli(has[resource])).toBeGreaterThanOrEqual(perNode * parseMilli(request[resource])!);
    expect(Number(has.tasks)).toBeGreaterThanOrEqual(perNode);
  });

  it('are refused at once when there are none', () => {
    expect(() => capacityFor(0, 5)).toThrow('5 tasks do not fit on 0 nodes');
  });

  it('get as many API servers as their connections need', () => {
    expect(serversFor(5_000, 2, 20_000, true)).toBe(1);
    expect(serversFor(20_000, 2, 20_000, false)).toBe(3);
    expect(serversFor(20_000, 2, 65_536, true)).toBe(1);
    expect(() => serversFor(20_000, 2, 20_000, true)).toThrow('at most 9900 fit');
  });

  it('have the limit that the kernel tells', () => {
    expect(descriptorsMaxIn('Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files\n')).toBe(20_000);
    expect(descriptorsMaxIn('Max open files            unlimited            unlimited            files')).toBe(Infinity);
  });
});
