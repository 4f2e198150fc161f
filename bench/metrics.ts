// metrics.ts: what servers say of themselves in the Prometheus text format, as far as a measurement asks.

/** Series by name and labels, as written: `etcd_server_proposals_committed_total`, `x_bucket{le="0.001"}`. */
export type Metrics = ReadonlyMap<string, number>;

export function parseMetrics(text: string): Metrics {
  const metrics = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    metrics.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return metrics;
}

/** The sum over all labels of a metric. */
export function sumOf(metrics: Metrics, name: string): number {
  let sum = 0;
  for (const [series, value] of metrics) if (series === name || series.startsWith(`${name}{`)) sum += value;
  return sum;
}

/** What was added to a counter between two readings. */
export function increase(before: Metrics, after: Metrics, name: string): number {
  return sumOf(after, name) - sumOf(before, name);
}

/**
 * The upper bound of the bucket in which the quantile of what was observed between two readings lies: at most so much.
 * Undefined when nothing was observed; Infinity beyond the last bucket.
 */
export function quantileBetween(before: Metrics, after: Metrics, name: string, share: number): number | undefined {
  const buckets: [bound: number, count: number][] = [];
  for (const [series, value] of after) {
    const bound = series.startsWith(`${name}_bucket{`) ? /le="([^"]+)"/.exec(series)?.[1] : undefined;
    if (bound !== undefined) buckets.push([bound === '+Inf' ? Infinity : Number(bound), value - (before.get(series) ?? 0)]);
  }
  buckets.sort(([a], [b]) => a - b);
  const all = buckets.at(-1)?.[1] ?? 0;
  return all === 0 ? undefined : buckets.find(([, count]) => count >= share * all)?.[0];
}
