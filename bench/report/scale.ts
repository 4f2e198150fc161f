// scale.ts: from values to places on an axis, and where its ticks are.

import { grouped } from './targets.js';

export interface Scale {
  readonly kind: 'linear' | 'log';
  readonly min: number;
  readonly max: number;
  /** Pixels from the start of the axis. */
  place(value: number): number;
}

export interface Tick {
  readonly at: number;
  readonly text: string;
}

/**
 * An axis that holds all values.
 * @param round whether its ends are ticks: 0 and a round number, or powers of ten
 */
export function scaleOf(kind: 'linear' | 'log', values: readonly number[], length: number, round: boolean): Scale {
  const finite = values.filter((value) => Number.isFinite(value) && (kind === 'linear' || value > 0));
  if (kind === 'linear') {
    const max = Math.max(0, ...finite) || 1;
    const top = round ? Math.ceil(max / stepOf(max)) * stepOf(max) : max;
    return { kind, min: 0, max: top, place: (value) => (value / top) * length };
  }
  const [low, high] = finite.length === 0 ? [1, 10] : [Math.min(...finite), Math.max(...finite)];
  const ends = round ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))] : [low, high];
  const [min, max] = [ends[0]!, ends[1]! > ends[0]! ? ends[1]! : ends[0]! * 10];
  const width = Math.log10(max) - Math.log10(min);
  return { kind, min, max, place: (value) => ((Math.log10(Math.max(value, min)) - Math.log10(min)) / width) * length };
}

/** 1, 2 or 5 times a power of ten, so that four to eight steps reach `max`. */
function stepOf(max: number): number {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => max / step <= 8)!;
}

export function gridTicks({ kind, min, max }: Scale): Tick[] {
  const ticks: Tick[] = [];
  if (kind === 'linear') {
    const step = stepOf(max);
    for (let index = 0; index * step <= max * (1 + 1e-9); index++) ticks.push({ at: index * step, text: short(index * step) });
    return ticks;
  }
  const decades = Math.log10(max) - Math.log10(min);
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
    for (const factor of decades <= 2 ? [1, 2, 5] : [1]) {
      const at = Number((factor * 10 ** power).toPrecision(1));
      if (at >= min * (1 - 1e-9) && at <= max * (1 + 1e-9)) ticks.push({ at, text: short(at) });
    }
  }
  return ticks;
}

/** `20k`, `1.5M`, `0.02`. */
export function short(value: number): string {
  if (value >= 1e6) return `${grouped(value / 1e6)}M`;
  if (value >= 1e4) return `${grouped(value / 1e3)}k`;
  return value !== 0 && value < 0.01 ? String(Number(value.toPrecision(2))) : grouped(value);
}
