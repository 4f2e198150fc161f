import { CliError } from './failure.js';

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * `30s`, `5m`, `1h30m`, `0`, `-1s`, as Go and kubectl write durations; a bare number is seconds.
 * @returns milliseconds
 * @throws CliError
 */
export function parseDurationMs(text: string): number {
  const [, sign, rest] = /^([+-]?)(.*)$/s.exec(text)!;
  const factor = sign === '-' ? -1 : 1;
  if (/^\d+(\.\d+)?$/.test(rest!)) return factor * Number(rest) * 1_000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(rest!)) throw new CliError(`invalid duration "${text}"; expected something like 30s, 5m or 1h30m`);
  let ms = 0;
  for (const [, amount, unit] of rest!.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) ms += Number(amount) * unitsMs[unit!]!;
  return factor * ms;
}
