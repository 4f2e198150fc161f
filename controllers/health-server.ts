import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Gauge, Registry } from 'prom-client';
import type { Logger } from '../lib/log.js';
import { aborted, type Service } from '../lib/service.js';

interface Metrics {
  prometheus: typeof import('prom-client');
  registry: Registry;
}

/** At the first question: most controllers are never asked, and the library takes 4 MiB. */
async function startMetrics(): Promise<Metrics> {
  const prometheus = await import('prom-client');
  const registry = new prometheus.Registry();
  prometheus.collectDefaultMetrics({ register: registry });
  return { prometheus, registry };
}

/** Says on loopback, to whoever watches this process, that it lives, whether it knows the cluster, and how it is. */
export class HealthServer implements Service {
  readonly name = 'health server';
  readonly #options: { port: number; listening?(port: number): void; ready(): boolean; gauges(): Record<string, number>; logger: Logger };

  #metrics: Promise<Metrics> | undefined;

  constructor(options: { port: number; listening?(port: number): void; ready(): boolean; gauges(): Record<string, number>; logger: Logger }) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request.url ?? '/', response));
    server.listen(this.#options.port, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    this.#options.logger.info('health is served', { url: `http://127.0.0.1:${port}/readyz` });
    this.#options.listening?.(port);
    await aborted(signal);
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
    (await this.#metrics)?.registry.clear();
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    const say = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => void response.writeHead(status, { 'content-type': type }).end(text);
    switch (url.split('?')[0]) {
      case '/livez':
        return say(200, 'ok\n');
      case '/readyz':
        return this.#options.ready() ? say(200, 'ok\n') : say(503, 'the first lists are not here yet\n');
      case '/metrics': {
        const { registry, prometheus } = await (this.#metrics ??= startMetrics());
        for (const [name, value] of Object.entries(this.#options.gauges())) {
          const gauge = (registry.getSingleMetric(name) as Gauge | undefined) ?? new prometheus.Gauge({ name, help: name.replaceAll('_', ' '), registers: [registry] });
          gauge.set(value);
        }
        return say(200, await registry.metrics(), registry.contentType);
      }
      default:
        return say(404, 'there is /livez, /readyz and /metrics\n');
    }
  }
}
