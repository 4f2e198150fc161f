// etcd-presence.ts
//
// Presence as leases of etcd, one per key. Keep-alives are answered by the leader from memory: they are no raft writes. An
// expired lease deletes its key, which every API server sees as an ordinary deletion.

import type { IEvent } from 'etcd3';
import type { PresenceStore, WriteOutcome } from '../store.js';
import { isLeaseNotFound, type EtcdEndpoints } from './etcd-endpoints.js';
import type { EtcdKeepAlives } from './etcd-keep-alives.js';
import type { EtcdWrite } from './etcd-txn.js';

export class EtcdPresence implements PresenceStore {
  readonly #endpoints: EtcdEndpoints;
  readonly #keepAlives: EtcdKeepAlives;
  readonly #write: (write: EtcdWrite) => Promise<WriteOutcome>;
  /** Leases of keys, as last heard: from our own announcements, from reads and from the watch. */
  readonly #leases = new Map<string, string>();

  constructor(options: { endpoints: EtcdEndpoints; keepAlives: EtcdKeepAlives; write: (write: EtcdWrite) => Promise<WriteOutcome> }) {
    this.#endpoints = options.endpoints;
    this.#keepAlives = options.keepAlives;
    this.#write = options.write;
  }

  async announce(key: string, value: string, ttlMs: number): Promise<WriteOutcome> {
    const { ID: lease } = await this.#endpoints.call((client) => client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1_000) }));
    const outcome = await this.#write({ op: 'create', key, value, lease });
    if (outcome.ok) this.#leases.set(key, lease);
    // One that cannot be revoked now runs out by itself.
    else await this.#revoke(lease).catch(() => false);
    return outcome;
  }

  async renew(key: string): Promise<boolean> {
    const known = this.#leases.get(key);
    if (known && (await this.#keepAlives.keep(known))) return true;
    // Announced through another API server, or before a restart, or anew under another lease.
    const stored = await this.#storedLease(key);
    if (!stored || stored === known) return false;
    return this.#keepAlives.keep(stored);
  }

  async withdraw(key: string): Promise<boolean> {
    const lease = await this.#storedLease(key);
    this.#leases.delete(key);
    return lease !== undefined && this.#revoke(lease);
  }

  /** Learns the leases of keys from the watch. */
  observe(events: readonly IEvent[]): void {
    for (const { type, kv } of events) {
      if (type === 'Put' && kv.lease !== '0') this.#leases.set(kv.key.toString(), kv.lease);
      else if (this.#leases.size > 0) this.#leases.delete(kv.key.toString());
    }
  }

  /** The key is gone, or no longer ours to keep. */
  forget(key: string): void {
    this.#leases.delete(key);
  }

  async #storedLease(key: string): Promise<string | undefined> {
    const { kvs } = await this.#endpoints.call((client) => client.kv.range({ key: Buffer.from(key), keys_only: true }));
    const lease = kvs[0]?.lease ?? '0';
    if (lease === '0') {
      this.#leases.delete(key);
      return undefined;
    }
    this.#leases.set(key, lease);
    return lease;
  }

  async #revoke(lease: string): Promise<boolean> {
    try {
      await this.#endpoints.call((client) => client.leaseClient.leaseRevoke({ ID: lease }));
      return true;
    } catch (error) {
      if (isLeaseNotFound(error)) return false;
      throw error;
    }
  }
}
