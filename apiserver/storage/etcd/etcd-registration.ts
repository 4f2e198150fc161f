// etcd-registration.ts
//
// An API server is there as long as its key is: /taskplane/servers/<id>, on a lease that it keeps alive (etcd-lease-keeper.ts). One lease per
// server, not per agent: what presence costs etcd does not grow with agents.
//
// The id is that of the first lease. A server that has lost its lease comes back under its id when nobody can have noticed: it was
// alone when it asked last, and the note has not been put since, so nobody has registered since. Then all that it keeps is as it left it, and it has
// nothing to take over; that matters most when it lost the lease because it was overloaded. Else it comes back under a new id, and
// what it kept is an orphan.

import { Deferred } from '../../../lib/deferred.js';
import type { Clock } from '../../../lib/clock.js';
import { StoreUnavailableError, prefixEnd, type WriteOutcome } from '../store.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';
import { LeaseKeeper, type KeepAlive } from './etcd-lease-keeper.js';
import type { ServersView } from './etcd-presence-book.js';
import { serverDigits } from './etcd-revision.js';
import { noteKey, serversPrefix, type EtcdWrite } from './etcd-txn.js';

export interface EtcdRegistrationOptions {
  /** Of a connection that nothing else goes over: ordinary writes may fill theirs. */
  readonly endpoints: EtcdEndpoints;
  readonly clock: Clock;
  readonly ttlMs: number;
  /** Commits writes at once, by themselves. */
  readonly commit: (batch: readonly EtcdWrite[]) => Promise<readonly WriteOutcome[]>;
  /** The registration is gone: it is time to confirm it. */
  readonly onLost: () => void;
}

export interface Confirmation extends ServersView {
  /** When etcd was asked, by the monotonic clock: what is told was so at some moment after that. */
  readonly askedAt: number;
  /** Differs as soon as another server came, went, or noted something. */
  readonly notes: string;
}

/** As which this server may come back: see above. */
interface Former {
  readonly id: string;
  /** The etcd revision of the note, which must not have been put since. */
  readonly notedAt: number;
}

export class EtcdRegistration {
  readonly #options: EtcdRegistrationOptions;
  readonly #keeper: LeaseKeeper;
  #id: string | undefined;
  #registeredAt = -Infinity;
  #former: Former | undefined;

  constructor(options: EtcdRegistrationOptions) {
    this.#options = options;
    this.#keeper = new LeaseKeeper({
      clock: options.clock,
      ttlMs: options.ttlMs,
      send: (lease) => this.#send(lease),
      onLost: options.onLost,
    });
  }

  /** Under which this server is registered, as far as it knows. */
  get id(): string | undefined {
    return this.#keeper.lease === undefined ? undefined : this.#id;
  }

  /** Since when it is, by the monotonic clock. */
  get registeredAt(): number {
    return this.#registeredAt;
  }

  /** The registration lasts at least its time to live from then, by the monotonic clock. */
  get keptAt(): number {
    return this.#keeper.keptAt;
  }

  /** Keeps the lease alive until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#keeper.run(signal);
  }

  /**
   * Registers this server where it is not, and tells who else is registered.
   * @throws StoreUnavailableError
   */
  async confirm(): Promise<Confirmation> {
    if (this.#keeper.lease === undefined) await this.#register();
    const me = this.id;
    const askedAt = this.#options.clock.monotonic();
    const { etcdRevision: answeredAt, kvs } = await this.#options.endpoints.range({ key: serversPrefix, end: prefixEnd(serversPrefix), keysOnly: true });
    const others = new Set<string>();
    let notes = '';
    let notedAt: number | undefined;
    let registered = false;
    for (const { key, leased, etcdRevision } of kvs) {
      const name = key.slice(serversPrefix.length);
      if (name === me) {
        registered = true;
      } else {
        if (leased) others.add(name);
        if (key === noteKey) notedAt = etcdRevision;
        notes += `${name}@${etcdRevision} `;
      }
    }
    if (me === undefined || !registered || this.id !== me) {
      if (me !== undefined) this.lost(me);
      throw new StoreUnavailableError('this API server is no longer registered in etcd', 'no');
    }
    this.#former = others.size === 0 && notedAt !== undefined ? { id: me, notedAt } : undefined;
    return { askedAt, etcdRevision: answeredAt, me, others, notes };
  }

  /** The registration is known to be gone. */
  lost(id: string): void {
    if (id !== this.id) return;
    this.#keeper.drop();
    this.#options.onLost();
  }

  /** The other servers need not wait for the lease to run out. */
  async end(): Promise<void> {
    const { lease } = this.#keeper;
    this.#keeper.drop();
    // One that cannot be revoked now runs out by itself.
    if (lease !== undefined) await this.#options.endpoints.call((client) => client.leaseClient.leaseRevoke({ ID: lease })).catch(() => {});
  }

  async #register(): Promise<void> {
    const { endpoints, clock, ttlMs } = this.#options;
    const askedAt = clock.monotonic();
    const { ID: lease } = await endpoints.call((client) => client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1_000) }));
    const former = this.#former;
    let id = former?.id;
    if (id === undefined || !(await this.#put(id, lease, former?.notedAt))) {
      id = idOf(lease);
      if (!(await this.#put(id, lease))) throw new Error(`assertion failed: etcd granted the lease ${lease} twice`);
    }
    this.#former = undefined;
    this.#id = id;
    this.#registeredAt = clock.monotonic();
    this.#keeper.keep(lease, askedAt);
  }

  async #put(id: string, lease: string, notedAt?: number): Promise<boolean> {
    const [outcome] = await this.#options.commit([{ op: 'create', key: serversPrefix + id, value: '{}', lease, noted: true, ...(notedAt !== undefined && { notedAt }) }]);
    return outcome?.ok === true;
  }

  /** Its own stream each time: once in a while, and nothing to keep up. */
  #send(lease: string): KeepAlive {
    const { endpoints } = this.#options;
    const client = endpoints.current;
    const answer = new Deferred<boolean>();
    let isOpen = true;
    const fail = (error: Error): void => {
      if (isOpen) endpoints.failed(client);
      answer.reject(error);
    };
    const opened = client.leaseClient.leaseKeepAlive();
    opened.then((stream) => {
      stream.on('data', ({ TTL }) => answer.resolve(Number(TTL) > 0));
      stream.on('error', fail);
      stream.on('end', () => fail(new Error('etcd ended the keep-alive stream')));
      stream.write({ ID: lease });
    }, fail);
    return {
      answer: answer.promise,
      late: () => endpoints.failed(client),
      close: () => {
        isOpen = false;
        answer.reject(new Error('nobody waits for the keep-alive any more'));
        opened.then(
          (stream) => {
            // Ended first, or etcd3 takes our own cancellation for a fault of the endpoint.
            stream.end();
            stream.cancel();
          },
          () => {},
        );
      },
    };
  }
}

function idOf(lease: string): string {
  return BigInt.asUintN(64, BigInt(lease)).toString(16).padStart(serverDigits, '0');
}
