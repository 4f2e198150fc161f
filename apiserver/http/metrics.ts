// metrics.ts: what the server counts, for Prometheus. Names follow the Kubernetes API server's where it has the same thing.

import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ServerReply } from './message.js';
import { collectProcessMetrics } from './process-metrics.js';
import { RequestCounts } from './request-counts.js';

const eventLoopSampleMs = 20;

/** Node's histogram holds the time between two samples: what is beyond the interval is delay. @param ns nanoseconds */
function beyondSample(ns: number): number {
  return Math.max(0, ns / 1e9 - eventLoopSampleMs / 1000);
}

export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #requests = new RequestCounts();
  #inFlight = 0;
  readonly #watchers: Gauge;
  readonly #rejected: Counter;
  readonly #tunnels: Gauge;
  readonly #commitWrites: Histogram;
  readonly #commitSeconds: Histogram;
  #eventLoopDelay: IntervalHistogram | undefined;
  #presenceCount = (): number => 0;

  /** @param options.process false leaves out what belongs to the whole process (in-process servers in tests) */
  constructor(options: { process: boolean }) {
    const registers = [this.#registry];
    const inFlight = (): number => this.#inFlight;
    new Gauge({
      name: 'apiserver_current_inflight_requests',
      help: 'Requests that are being handled, watches and logs left out.',
      registers,
      collect() {
        this.set(inFlight());
      },
    });
    this.#watchers = new Gauge({ name: 'apiserver_longrunning_requests', help: 'Open streams by verb and resource.', labelNames: ['verb', 'resource'], registers });
    this.#rejected = new Counter({ name: 'apiserver_rejected_requests_total', help: 'Requests that were refused because too many were in flight.', registers });
    this.#tunnels = new Gauge({ name: 'taskplane_agent_tunnels', help: 'Agents whose tunnel is connected to this server.', registers });
    this.#commitWrites = new Histogram({ name: 'taskplane_store_commit_writes', help: 'Writes per commit of the store.', buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], registers });
    this.#commitSeconds = new Histogram({
      name: 'taskplane_store_commit_duration_seconds',
      help: 'Seconds that one commit of the store took.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    });
    const present = (): number => this.#presenceCount();
    function collect(this: Gauge): void {
      this.set(present());
    }
    new Gauge({ name: 'taskplane_present_agents', help: 'Agents that are present.', registers, collect });
    if (options.process) this.#processMetrics(registers);
  }

  #processMetrics(registers: Registry[]): void {
    collectProcessMetrics(this.#registry);
    const delay = monitorEventLoopDelay({ resolution: eventLoopSampleMs });
    delay.enable();
    this.#eventLoopDelay = delay;
    new Gauge({
      name: 'taskplane_event_loop_delay_seconds',
      help: 'How late the event loop was since the last scrape, by quantile.',
      labelNames: ['quantile'],
      registers,
      collect() {
        for (const quantile of [50, 90, 99]) this.set({ quantile: String(quantile / 100) }, beyondSample(delay.percentile(quantile)));
        this.set({ quantile: '1' }, beyondSample(delay.max));
        delay.reset();
      },
    });
  }

  /** Releases the monitor of the event loop. */
  close(): void {
    this.#eventLoopDelay?.disable();
  }

  /** How to count the agents that are present, when somebody asks. */
  readPresence(count: () => number): void {
    this.#presenceCount = count;
  }

  requestStarted(): void {
    this.#inFlight++;
  }

  requestEnded(): void {
    this.#inFlight--;
  }

  requestRejected(): void {
    this.#rejected.inc();
  }

  /** The headers of the reply are known. */
  replied(verb: string, resource: string, code: number, seconds: number): void {
    this.#requests.add(verb, resource, code, seconds);
  }

  /** `replied` for what comes again and again: finds where to count once. */
  counting(verb: string, resource: string, code: number): (seconds: number) => void {
    return this.#requests.counting(verb, resource, code);
  }

  streamStarted(verb: string, resource: string): () => void {
    const gauge = this.#watchers.labels({ verb, resource });
    gauge.inc();
    return () => gauge.dec();
  }

  setTunnels(count: number): void {
    this.#tunnels.set(count);
  }

  /** A batch of writes was committed, or failed as a whole. */
  observeCommit(writes: number, seconds: number): void {
    this.#commitWrites.observe(writes);
    this.#commitSeconds.observe(seconds);
  }

  async reply(): Promise<ServerReply> {
    return { status: 200, headers: { 'content-type': this.#registry.contentType }, body: `${this.#requests.text()}\n${await this.#registry.metrics()}` };
  }
}
