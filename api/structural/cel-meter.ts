// cel-meter.ts
//
// What a rule may cost. Evaluation is synchronous and never nested, so one meter serves all: it is set when a rule
// starts. A unit is about a microsecond or less: one step of a macro, one part of a value, ten characters of a text.

export class CostExceeded extends Error {
  override readonly name = 'CostExceeded';
}

/** Units of one rule on one value, and of all rules on one object. */
export const costOfRuleMax = 250_000;
export const costOfObjectMax = 600_000;

let left = 0;

/** @returns what `run` returns, and the units that it took: more than `max` when it was stopped */
export function metered<T>(max: number, run: () => T): { cost: number; result?: T; error?: unknown } {
  left = max;
  try {
    const result = run();
    return left < 0 ? { cost: max + 1 } : { cost: max - left, result };
  } catch (error) {
    return left < 0 ? { cost: max + 1 } : { cost: max - left, error };
  }
}

/** @throws CostExceeded, now and ever after until the rule ends: `||` and macros go on after an error */
export function charge(units: number): void {
  left -= units;
  if (left < 0) throw new CostExceeded('the rule takes too long');
}

/** Charges for the length of a value. */
export function chargeFor<T>(value: T): T {
  charge(1 + lengthOf(value));
  return value;
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Math.floor(value.length / 10);
  if (Array.isArray(value)) return value.length;
  return value instanceof Map ? value.size : 0;
}

/** Charges for everything below a value; stops where the means end, so that values that share parts cost no more time than that. */
export function chargeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return chargeFor(value);
  const waiting: unknown[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    chargeFor(next);
    if (Array.isArray(next)) for (const item of next) waiting.push(item);
    else if (next instanceof Map) for (const item of next.values()) waiting.push(item);
    else if (typeof next === 'object' && next !== null && next.constructor === Object) for (const item of Object.values(next)) waiting.push(item);
  }
  return value;
}
