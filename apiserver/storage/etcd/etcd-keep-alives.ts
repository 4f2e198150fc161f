import type { Etcd3, IDuplexStream, ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3';
import type { Clock, Timer } from '../../../lib/clock.js';
import { Deferred } from '../../../lib/deferred.js';
import { StoreUnavailableError } from '../store.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';

interface OpenStream {
  readonly client: Etcd3;
  readonly opened: Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>>;
}

interface Question {
  readonly answer: Deferred<boolean>;
  readonly askedAt: number;
}

/** A stream whose oldest question is open for this long is given up. */
const answerDeadlineMs = 5_000;

/**
 * Keep-alives of all leases over one stream, opened when first needed and again after it broke. etcd answers those of a lease
 * in the order of asking. Each caller has a question of its own: one that is under way already may have begun the time to
 * live long before.
 */
export class EtcdKeepAlives {
  readonly #endpoints: Pick<EtcdEndpoints, 'current' | 'failed'>;
  readonly #clock: Clock;
  #stream: OpenStream | undefined;
  /** Questions without an answer yet, oldest first: all, and those of each lease. */
  readonly #open = new Set<Question>();
  readonly #openOf = new Map<string, Question[]>();
  #timer: Timer | undefined;

  constructor(options: { endpoints: Pick<EtcdEndpoints, 'current' | 'failed'>; clock: Clock }) {
    this.#endpoints = options.endpoints;
    this.#clock = options.clock;
  }

  /**
   * Gives the lease its full time to live from now. False when there is no such lease any more.
   * @throws StoreUnavailableError
   */
  keep(lease: string): Promise<boolean> {
    const question: Question = { answer: new Deferred(), askedAt: this.#clock.monotonic() };
    this.#open.add(question);
    const ofLease = this.#openOf.get(lease);
    if (ofLease) ofLease.push(question);
    else this.#openOf.set(lease, [question]);
    this.#timer ??= this.#clock.timer(answerDeadlineMs, () => this.#checkDeadline(), { unref: true });
    const stream = (this.#stream ??= this.#openStream());
    stream.opened.then(
      (opened) => opened.write({ ID: lease }),
      (error: unknown) => this.#broke(stream, error),
    );
    return question.answer.promise;
  }

  close(): void {
    if (this.#stream) this.#broke(this.#stream, new Error('the store is closed'));
  }

  #openStream(): OpenStream {
    const client = this.#endpoints.current;
    const stream: OpenStream = { client, opened: client.leaseClient.leaseKeepAlive() };
    stream.opened.then(
      (opened) => {
        opened.on('data', ({ ID, TTL }) => this.#answered(stream, ID, Number(TTL) > 0));
        opened.on('error', (error) => this.#broke(stream, error));
        opened.on('end', () => this.#broke(stream, new Error('etcd ended the keep-alive stream')));
      },
      () => {},
    );
    return stream;
  }

  #answered(stream: OpenStream, lease: string, alive: boolean): void {
    const ofLease = this.#openOf.get(lease);
    const question = ofLease?.[0];
    if (this.#stream !== stream || !question) return;
    ofLease.shift();
    if (ofLease.length === 0) this.#openOf.delete(lease);
    this.#open.delete(question);
    question.answer.resolve(alive);
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
    for (const { answer } of this.#open) answer.reject(failure);
    this.#open.clear();
    this.#openOf.clear();
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
