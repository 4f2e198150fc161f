/** The smallest sample that at least `share` of all samples do not exceed (nearest rank). NaN when there is none. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/** p50 and p99, rounded to a hundredth. */
export function spreadOf(samples: readonly number[]): { p50: number; p99: number } {
  return { p50: rounded(percentile(samples, 0.5)), p99: rounded(percentile(samples, 0.99)) };
}

export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
