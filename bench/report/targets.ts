// targets.ts: whether a figure reaches what it is to reach.

import type { BenchCase, Target } from '../bench-case.js';
import type { Result } from './result.js';

export interface Judgement {
  readonly target: Target;
  readonly met: boolean;
  /** `value ≥ 5,000 tasks/s`, `p99 ≤ 50 ms`. */
  readonly text: string;
}

type Judged = Pick<Result, 'nodes' | 'tasks' | 'store' | 'value' | 'p50' | 'p99' | 'unit' | 'details'>;

/**
 * Nothing when the size was not that of the case: a target is for the case as it stands.
 * @param measure finds the result that a share is of; a share of what has not been measured is not judged
 */
export function judge(benchCase: Pick<BenchCase, 'nodes' | 'tasks' | 'targets'>, result: Judged, measure: (name: string) => Judged | undefined = () => undefined): Judgement[] {
  if (benchCase.nodes !== result.nodes || benchCase.tasks !== result.tasks) return [];
  return (benchCase.targets ?? []).flatMap((target): Judgement[] => {
    const figure = figureOf(target, result);
    const bound = boundOf(target, measure);
    if (figure === undefined || bound === undefined) return [];
    const met = target.at === 'least' ? figure >= bound : figure <= bound;
    return [{ target, met, text: targetText(target, result.unit) }];
  });
}

function boundOf(target: Target, measure: (name: string) => Judged | undefined): number | undefined {
  if (target.of === undefined) return target.bound;
  const measured = measure(target.of);
  const whole = measured && figureOf(target, measured);
  return whole === undefined ? undefined : whole * target.bound;
}

const detailPrefix = 'details.';

function figureOf({ figure }: Target, result: Pick<Judged, 'value' | 'p50' | 'p99' | 'details'>): number | undefined {
  if (figure === 'value' || figure === 'p50' || figure === 'p99') return result[figure];
  const detail = result.details?.[figure.slice(detailPrefix.length)];
  return typeof detail === 'number' ? detail : undefined;
}

export function targetText({ figure, at, bound, of }: Target, unit: string): string {
  const sign = at === 'least' ? '≥' : '≤';
  if (of !== undefined) return `${figure === 'value' ? '' : `${figure} `}${sign} ${grouped(bound * 100)} % of ${of}`;
  const limit = `${sign} ${grouped(bound)}`;
  if (figure === 'value') return `${limit} ${unit}`;
  return figure.startsWith(detailPrefix) ? `${figure.slice(detailPrefix.length)} ${limit}` : `${figure} ${limit} ms`;
}

/** `12,345.6`: whole numbers from a hundred on, else as many digits as tell something. */
export function grouped(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const [whole = '', fraction] = String(Number(value.toFixed(digits))).split('.');
  const thousands = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? thousands : `${thousands}.${fraction}`;
}
