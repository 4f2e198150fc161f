// cel-quantities.ts: `quantity("1.5Gi")` in rules. Exact: worth is a count of nano-units.

import type { Environment } from '@marcbachmann/cel-js';
import type { AddFunction } from './cel-function.js';

const suffixes: Readonly<Record<string, [base: bigint, exponent: number]>> = {
  n: [10n, -9], u: [10n, -6], m: [10n, -3], '': [10n, 0], k: [10n, 3], M: [10n, 6], G: [10n, 9], T: [10n, 12], P: [10n, 15], E: [10n, 18],
  Ki: [1024n, 1], Mi: [1024n, 2], Gi: [1024n, 3], Ti: [1024n, 4], Pi: [1024n, 5], Ei: [1024n, 6],
};
const pattern = /^([+-]?)(\d{0,30})(?:\.(\d{0,30}))?(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?\d{1,2}))?$/;
const nano = 1_000_000_000n;

export class Quantity {
  constructor(readonly nanos: bigint) {}

  /** Undefined when it is none. */
  static parse(text: string): Quantity | undefined {
    const match = pattern.exec(text);
    if (!match || `${match[2]}${match[3] ?? ''}` === '') return undefined;
    const [, sign, whole = '', part = '', suffix = '', exponent] = match;
    const [base, power] = exponent === undefined ? suffixes[suffix]! : [10n, Number(exponent)];
    const digits = BigInt(whole + part || '0') * nano * (power > 0 ? base ** BigInt(power) : 1n);
    const divisor = 10n ** BigInt(part.length) * (power < 0 ? base ** BigInt(-power) : 1n);
    // Finer than a nano-unit is rounded up, as Kubernetes does.
    const nanos = (digits + divisor - 1n) / divisor;
    return new Quantity(sign === '-' ? -nanos : nanos);
  }
}

export function registerQuantities(environment: Environment, add: AddFunction): void {
  environment.registerType('kubernetes.Quantity', { ctor: Quantity, fields: {} });
  environment.registerOperator('kubernetes.Quantity == kubernetes.Quantity', (a: Quantity, b: Quantity) => a.nanos === b.nanos);
  add('quantity(string): kubernetes.Quantity', (text: string) => {
    const found = Quantity.parse(text);
    if (!found) throw new Error(`quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`);
    return found;
  });
  add('isQuantity(string): bool', (text: string) => Quantity.parse(text) !== undefined);
  const method = (signature: string, handler: (...args: never[]) => unknown): void => add(`kubernetes.Quantity.${signature}`, handler);
  method('sign(): int', (a: Quantity) => BigInt(a.nanos > 0n ? 1 : a.nanos < 0n ? -1 : 0));
  method('isInteger(): bool', (a: Quantity) => a.nanos % nano === 0n);
  method('asInteger(): int', (a: Quantity) => {
    if (a.nanos % nano !== 0n) throw new Error('cannot convert value to integer');
    return a.nanos / nano;
  });
  method('asApproximateFloat(): double', (a: Quantity) => Number(a.nanos) / Number(nano));
  method('add(kubernetes.Quantity): kubernetes.Quantity', (a: Quantity, b: Quantity) => new Quantity(a.nanos + b.nanos));
  method('add(int): kubernetes.Quantity', (a: Quantity, b: bigint) => new Quantity(a.nanos + b * nano));
  method('sub(kubernetes.Quantity): kubernetes.Quantity', (a: Quantity, b: Quantity) => new Quantity(a.nanos - b.nanos));
  method('sub(int): kubernetes.Quantity', (a: Quantity, b: bigint) => new Quantity(a.nanos - b * nano));
  method('isLessThan(kubernetes.Quantity): bool', (a: Quantity, b: Quantity) => a.nanos < b.nanos);
  method('isGreaterThan(kubernetes.Quantity): bool', (a: Quantity, b: Quantity) => a.nanos > b.nanos);
  method('compareTo(kubernetes.Quantity): int', (a: Quantity, b: Quantity) => BigInt(a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0));
}
