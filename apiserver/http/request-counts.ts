// request-counts.ts: the two metrics that every request touches, counted in plain numbers: finding a series of the library by its labels and its
// bucket took longer than many a request. They become text when somebody asks.

/** Upper bounds in seconds; what took longer is in the last one, which has none. */
const bucketBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

interface Latency {
  readonly labels: string;
  /** Not added up. */
  readonly buckets: number[];
  sum: number;
}

interface Series {
  readonly labels: string;
  readonly latency: Latency;
  count: number;
}

export class RequestCounts {
  readonly #series = new Map<string, Series>();
  readonly #latencies = new Map<string, Latency>();

  /** @param verb and `resource` are never anything that a client makes up */
  add(verb: string, resource: string, code: number, seconds: number): void {
    count(this.#seriesOf(verb, resource, code), seconds);
  }

  /** `add` for many of the same kind. */
  counting(verb: string, resource: string, code: number): (seconds: number) => void {
    let series: Series | undefined;
    // A series appears with its first request.
    return (seconds) => count((series ??= this.#seriesOf(verb, resource, code)), seconds);
  }

  #seriesOf(verb: string, resource: string, code: number): Series {
    const key = `${verb} ${resource} ${code}`;
    let series = this.#series.get(key);
    if (!series) this.#series.set(key, (series = this.#newSeries(verb, resource, code)));
    return series;
  }

  /** @see https://prometheus.io/docs/instrumenting/exposition_formats/ */
  text(): string {
    const lines = ['# HELP apiserver_request_total Requests by verb, resource and HTTP code.', '# TYPE apiserver_request_total counter'];
    for (const { labels, count } of this.#series.values()) lines.push(`apiserver_request_total{${labels}} ${count}`);
    const name = 'apiserver_request_duration_seconds';
    lines.push('', `# HELP ${name} Seconds from the headers of a request to those of its reply, by verb and resource; watches and logs until they started.`, `# TYPE ${name} histogram`);
    for (const { labels, buckets, sum } of this.#latencies.values()) {
      let total = 0;
      buckets.forEach((count, bucket) => lines.push(`${name}_bucket{le="${bucketBounds[bucket] ?? '+Inf'}",${labels}} ${(total += count)}`));
      lines.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${total}`);
    }
    return `${lines.join('\n')}\n`;
  }

  #newSeries(verb: string, resource: string, code: number): Series {
    const labels = `verb="${verb}",resource="${resource}"`;
    let latency = this.#latencies.get(labels);
    if (!latency) this.#latencies.set(labels, (latency = { labels, buckets: Array.from({ length: bucketBounds.length + 1 }, () => 0), sum: 0 }));
    return { labels: `${labels},code="${code}"`, latency, count: 0 };
  }
}

function count(series: Series, seconds: number): void {
  series.count++;
  const { latency } = series;
  latency.sum += seconds;
  let bucket = 0;
  while (bucket < bucketBounds.length && seconds > bucketBounds[bucket]!) bucket++;
  latency.buckets[bucket]!++;
}
