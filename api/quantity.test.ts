import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatBytes, formatMilli, formatResource, milliOf, parseMilli, unitsOf } from './quantity.js';

describe('parseMilli', () => {
  it.each([
    ['500m', 500], ['2', 2000], ['0', 0], ['.5', 500], ['1.', 1000], ['0.1', 100], ['1.5Gi', 1.5 * 2 ** 30 * 1000], ['1e3', 1_000_000], ['1E3', 1_000_000],
    ['12E', 12e21], ['100n', 1], ['1u', 1], ['-1', -1000], ['+3k', 3_000_000], ['256Mi', 256 * 2 ** 20 * 1000], ['0.0005', 1],
  ])('reads %s as %d thousandths', (text, milli) => {
    expect(parseMilli(text)).toBe(milli);
  });

  it.each(['', ' 1', '1 ', 'x', '1x', '1..2', '--1', '1ki', '1mm', '1e', 'Infinity', 'NaN', '0x10', '1e9999'])('refuses %j', (text) => {
    expect(parseMilli(text)).toBeUndefined();
  });

  it('reads numbers as whole units and refuses what is no number', () => {
    expect(parseMilli(2)).toBe(2000);
    expect(parseMilli(0.25)).toBe(250);
    expect(parseMilli(Number.NaN)).toBeUndefined();
  });

  it('never throws and never gives a fraction, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const milli = parseMilli(text);
        expect(milli === undefined || Number.isInteger(milli)).toBe(true);
      }),
    );
  });

  it('gives back what formatMilli wrote', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (milli) => expect(parseMilli(formatMilli(milli))).toBe(milli)));
  });
});

describe('milliOf, unitsOf and the printers', () => {
  it('milliOf throws on text that is no quantity', () => {
    expect(() => milliOf('many')).toThrow('not a quantity: "many"');
  });

  it('unitsOf rounds up', () => {
    expect(unitsOf('1500m')).toBe(2);
  });

  it('formatBytes takes the largest suffix that divides', () => {
    expect([268435456, 1536, 1000, 0].map(formatBytes)).toEqual(['256Mi', '1536', '1000', '0']);
    expect(formatBytes(1536 * 1024)).toBe('1536Ki');
  });

  it('formatResource prints memory in bytes and the rest in units', () => {
    expect(formatResource('memory', 2 ** 30 * 1000)).toBe('1Gi');
    expect(formatResource('cpu', 1500)).toBe('1500m');
    expect(formatResource('gpu', 2000)).toBe('2');
  });
});
