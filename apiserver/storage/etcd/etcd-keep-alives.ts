import type { Etcd3, IDuplexStream, ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3';
import type { Clock, Timer } from '../../../lib/clock.js';
import { Deferred } from '../../../lib/deferred.js';
import { StoreUnavailableError } from '../store.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';

interface OpenStream {
  readonly client: Etcd3;
  readonly opened: Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>>;
}

/** A stream whose oldest question is open for this long is given up. */
const answerDeadlineMs = 5_000;

/**
 * Keep-alives of all leases over one stream, opened when first needed and again after it broke.
 */
export class EtcdKeepAlives {
  readonly #endpoints: EtcdEndpoints;
  readonly #clock: Clock;
  #stream: OpenStream | undefined;
  /** Questions without an answer yet, by lease, oldest first. */
  readonly #open = new Map<string, { readonly answer: Deferred<boolean>; readonly askedAt: number }>();
  #timer: Timer | undefined;

  constructor(options: { endpoints: EtcdEndpoints; clock: Clock }) {
    this.#endpoints = options.endpoints;
    this.#clock = options.clock;
  }

  /**
   * Gives the lease its full time to live from now. False when there is no such lease any more.
   * @throws StoreUnavailableError
   */
  keep(lease: string): Promise<boolean> {
    const asked = this.#open.get(lease);
    if (asked) return asked.answer.promise;
    const answer = new Deferred<boolean>();
    this.#open.set(lease, { answer, askedAt: this.#clock.monotonic() });
    this.#timer ??= this.#clock.timer(answerDeadlineMs, () => this.#checkDeadline(), { unref: true });
    const stream = (this.#stream ??= this.#openStream());
    stream.opened.then(
      (opened) => opened.write({ ID: lease }),
      (error: unknown) => this.#broke(stream, error),
    );
    return answer.promise;
  }

  close(): void {
    if (this.#stream) this.#broke(this.#stream, new Error('the store is closed'));
  }

  #openStream(): OpenStream {
    const client = this.#endpoints.current;
    const stream: OpenStream = { client, opened: client.leaseClient.leaseKeepAlive() };
    stream.opened.then(
      (opened) => {
        opened.on('data', ({ ID, TTL }) => this.#answered(ID, Number(TTL) > 0));
        opened.on('error', (error) => this.#broke(stream, error));
        opened.on('end', () => this.#broke(stream, new Error('etcd ended the keep-alive stream')));
      },
      () => {},
    );
    return stream;
  }

  #answered(lease: string, alive: boolean): void {
    this.#open.get(lease)?.answer.resolve(alive);
    this.#open.delete(lease);
    if (this.#open.size === 0) this.#stopTimer();
  }

  #checkDeadline(): void {
    this.#timer = undefined;
    const [oldest] = this.#open.values();
    if (!oldest) return;
    const waitedMs = this.#clock.monotonic() - oldest.askedAt;
    if (waitedMs >= answerDeadlineMs && this.#stream) this.#broke(this.#stream, new Error('no answer to a keep-alive'));
    else this.#timer = this.#clock.timer(answerDeadlineMs - waitedMs, () => this.#checkDeadline(), { unref: true });
  }

  #broke(stream: OpenStream, error: unknown): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#stopTimer();
    this.#endpoints.failed(stream.client);
    stream.opened.then(
      (opened) => {
        opened.end();
        opened.cancel();
      },
      () => {},
    );
    const failure = new StoreUnavailableError(`etcd did not answer: ${(error as Error).message}`, 'unknown', { cause: error });
    for (const { answer } of this.#open.values()) answer.reject(failure);
    this.#open.clear();
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
