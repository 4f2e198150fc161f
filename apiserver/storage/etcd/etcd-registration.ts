// etcd-registration.ts
//
// An API server is there as long as its key is: /taskplane/servers/<id>, on a lease that it keeps alive. The id is that of the
// lease, so none is ever used twice. One lease per server, not per agent: what presence costs etcd does not grow with agents.

import { Deferred } from '../../../lib/deferred.js';
import type { Clock } from '../../../lib/clock.js';
import { StoreUnavailableError, prefixEnd, type WriteOutcome } from '../store.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';
import type { ServersView } from './etcd-presence-book.js';
import { serverDigits } from './etcd-revision.js';
import { serversPrefix, type EtcdWrite } from './etcd-txn.js';

export interface EtcdRegistrationOptions {
  readonly endpoints: EtcdEndpoints;
  readonly clock: Clock;
  readonly ttlMs: number;
  /** Commits writes at once, by themselves. */
  readonly commit: (batch: readonly EtcdWrite[]) => Promise<readonly WriteOutcome[]>;
}

export interface Confirmation extends ServersView {
  /** Differs as soon as another server came, went, or noted something. */
  readonly notes: string;
}

/** A keep-alive that is not answered by then has failed. */
const answerMsMax = 2_000;
const unreadMs = 100;

export class EtcdRegistration {
  readonly #options: EtcdRegistrationOptions;
  #lease: string | undefined;

  constructor(options: EtcdRegistrationOptions) {
    this.#options = options;
  }

  /** Under which this server is registered, as far as it knows. */
  get id(): string | undefined {
    return this.#lease === undefined ? undefined : idOf(this.#lease);
  }

  /**
   * Keeps this server registered, anew where it no longer is, and tells who else is.
   * @throws StoreUnavailableError
   */
  async confirm(signal: AbortSignal): Promise<Confirmation> {
    if (this.#lease === undefined || !(await this.#keepAlive(this.#lease, signal))) await this.#register();
    const { etcdRevision: answeredAt, kvs } = await this.#options.endpoints.range({ key: serversPrefix, end: prefixEnd(serversPrefix), keysOnly: true });
    const me = this.id;
    const others = new Set<string>();
    let notes = '';
    let registered = false;
    for (const { key, leased, etcdRevision } of kvs) {
      const name = key.slice(serversPrefix.length);
      if (name === me) {
        registered = true;
      } else {
        if (leased) others.add(name);
        notes += `${name}@${etcdRevision} `;
      }
    }
    if (me === undefined || !registered) {
      this.#lease = undefined;
      throw new StoreUnavailableError('this API server is no longer registered in etcd', 'no');
    }
    return { etcdRevision: answeredAt, me, others, notes };
  }

  /** The registration is known to be gone. */
  lost(id: string): void {
    if (id === this.id) this.#lease = undefined;
  }

  /** The other servers need not wait for the lease to run out. */
  async end(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    // One that cannot be revoked now runs out by itself.
    if (lease !== undefined) await this.#options.endpoints.call((client) => client.leaseClient.leaseRevoke({ ID: lease })).catch(() => {});
  }

  async #register(): Promise<void> {
    this.#lease = undefined;
    const { endpoints, ttlMs, commit } = this.#options;
    const { ID: lease } = await endpoints.call((client) => client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1_000) }));
    const [outcome] = await commit([{ op: 'create', key: serversPrefix + idOf(lease), value: '{}', lease, noted: true }]);
    if (!outcome?.ok) throw new Error(`assertion failed: etcd granted the lease ${lease} twice`);
    this.#lease = lease;
  }

  /** Its own stream each time: once in a while, and nothing to keep up. False when there is no such lease any more. */
  async #keepAlive(lease: string, signal: AbortSignal): Promise<boolean> {
    const { endpoints, clock } = this.#options;
    const client = endpoints.current;
    const answer = new Deferred<boolean>();
    // Timers come before sockets: after a stall of ours the answer may be here already, unread.
    let timer = clock.timer(answerMsMax, () => (timer = clock.timer(unreadMs, () => answer.reject(new Error('no answer to a keep-alive')), { unref: true })), { unref: true });
    const stop = (): void => answer.reject(new Error('the store is closed'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    const opened = client.leaseClient.leaseKeepAlive();
    opened.then((stream) => {
      stream.on('data', ({ TTL }) => answer.resolve(Number(TTL) > 0));
      stream.on('error', (error) => answer.reject(error));
      stream.on('end', () => answer.reject(new Error('etcd ended the keep-alive stream')));
      stream.write({ ID: lease });
    }, answer.reject);
    try {
      return await answer.promise;
    } catch (error) {
      endpoints.failed(client);
      throw new StoreUnavailableError(`etcd did not answer: ${(error as Error).message}`, 'unknown', { cause: error });
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', stop);
      opened.then(
        (stream) => {
          // Ended first, or etcd3 takes our own cancellation for a fault of the endpoint.
          stream.end();
          stream.cancel();
        },
        () => {},
      );
    }
  }
}

function idOf(lease: string): string {
  return BigInt.asUintN(64, BigInt(lease)).toString(16).padStart(serverDigits, '0');
}
