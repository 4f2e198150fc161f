// etcd-presence-book.ts
//
// What one API server knows of presence keys, and when each is over. No I/O; the time is an argument, by the monotonic clock.
//
//   kept     this server keeps it: a renewal moves `endsAt`
//   orphan   its keeper is gone, or nobody knows whether our own write of it counts: whoever renews it takes it over by a write
//
// A write of ours that was not answered may have made us the keeper of a key whose agent is dead since: nobody else would ever remove it. Such a
// key is an orphan of nobody's, at no revision (`doubt`), until it has been looked at (`found`).
//
// Keys that another living server keeps are not here. Every removal is guarded by the key's revision, so it is harmless to hold
// one here that was taken over elsewhere.
//
// Why no key is removed before its agent has fenced itself. An agent that sent its renewal at s and was answered counts on
// s + ttl; the server gave that answer at some a >= s.
//
//   1. A server answers only until `sureMs` after it sent the newest keep-alive that was answered, and began to ask etcd who is registered and
//      what others have noted (EtcdRegistration). sureMs is less than the time to live of its lease, so it was registered at a: a comes before
//      the end e of its registration, and the agent counts on at most e + ttl. Whoever sees that it is gone does so after e,
//      and waits a full ttl from then.
//   2. A key that is taken over at u from a living server is noted in the same etcd revision. The server that kept it
//      hears of it when it asks next, but may have answered from memory until u + sureMs. So the one that takes over keeps the key
//      for at least sureMs + ttl (`spareMs`), and so does who finds it an orphan soon after. Once every server has asked again, or
//      where there is no other server, nothing is to be spared.
//   3. A server whose registration ended comes back under its id only where no other was registered when it asked last, and the note, which each
//      server puts as it registers, has not been put since: so nobody was registered after that who could have seen it gone, and only who was
//      registered after that removes keys or takes them over. What it keeps is as it left it, and it answers again once 1. holds anew.

export interface BookEntry {
  readonly key: string;
  readonly server: string;
  readonly ttlMs: number;
  /** 0: not known. */
  etcdRevision: number;
  state: 'kept' | 'orphan';
  /** When it is to be removed. */
  endsAt: number;
  /** A removal is under way: no renewal counts. */
  removing: boolean;
}

/** A presence key as etcd has it. */
export interface KeptKey {
  readonly key: string;
  readonly etcdRevision: number;
  readonly server: string;
  readonly ttlMs: number;
}

/** In place of the keeper of a key of which it is not known. */
const nobody = '';

/** Which servers were registered at an etcd revision. */
export interface ServersView {
  readonly etcdRevision: number;
  readonly me: string;
  /** All but this one. */
  readonly others: ReadonlySet<string>;
}

export class PresenceBook {
  readonly #sureMs: number;
  readonly #entries = new Map<string, BookEntry>();
  #view: ServersView | undefined;
  /** Etcd revisions and when they were known to be past, oldest first. */
  #passed: { readonly etcdRevision: number; readonly at: number }[] = [];

  constructor(options: { sureMs: number }) {
    this.#sureMs = options.sureMs;
  }

  get(key: string): BookEntry | undefined {
    return this.#entries.get(key);
  }

  /** The keys that this server keeps as `me`, or finds orphaned. */
  get size(): number {
    return this.#entries.size;
  }

  /** Takes note of which servers there are; `now` is when that was answered. */
  seen(view: ServersView, now: number): void {
    this.#view = view;
    this.#passed.push({ etcdRevision: view.etcdRevision, at: now });
    const settled = this.#passed.findLastIndex(({ at }) => at <= now - this.#sureMs);
    if (settled > 0) this.#passed.splice(0, settled);
  }

  /** Whether that server, the keeper of a key of that revision, is surely gone. A keeper was registered at the key's revision. */
  isGone(server: string, etcdRevision: number): boolean {
    const view = this.#view;
    return view !== undefined && etcdRevision <= view.etcdRevision && server !== view.me && !view.others.has(server);
  }

  /** How much longer than its time to live a key of that revision is kept, because a server that lost it might not know yet. */
  spareMs({ server, etcdRevision }: { server: string; etcdRevision: number }, now: number): number {
    const view = this.#view;
    const mine = server === view?.me;
    if (!view || (!mine && !this.isGone(server, etcdRevision))) return this.#sureMs;
    if (view.others.size === 0) return 0;
    const settled = this.#passed.findLast(({ at }) => at <= now - this.#sureMs);
    return settled && etcdRevision <= settled.etcdRevision ? 0 : this.#sureMs;
  }

  /** This server keeps the key from now on: it was announced here, or taken over. */
  keep(kept: KeptKey, spareMs: number, now: number): void {
    this.#entries.set(kept.key, { ...kept, state: 'kept', endsAt: now + kept.ttlMs + spareMs, removing: false });
  }

  /** The key has its full time to live from now. False when this server does not keep it: then renewing takes more. */
  renew(key: string, me: string, now: number): boolean {
    const entry = this.#entries.get(key);
    if (!entry || entry.state !== 'kept' || entry.server !== me || entry.removing) return false;
    entry.endsAt = Math.max(entry.endsAt, now + entry.ttlMs);
    return true;
  }

  /** A write that would have made this server the keeper was not answered: the key is to be looked at when it would be over. */
  doubt(key: string, ttlMs: number, now: number): void {
    if (this.#entries.has(key)) return;
    this.#entries.set(key, { key, etcdRevision: 0, server: nobody, ttlMs, state: 'orphan', endsAt: now + ttlMs + this.#sureMs, removing: false });
  }

  /** What is stored of a key that could not be removed, because it was written since, by this server or by another one. */
  found(stored: KeptKey, now: number): void {
    if (stored.server !== this.#view?.me && !this.isGone(stored.server, stored.etcdRevision)) return this.forget(stored.key);
    this.#entries.set(stored.key, { ...stored, state: 'orphan', endsAt: now + stored.ttlMs + this.spareMs(stored, now), removing: false });
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }

  /**
   * Takes over what etcd has: all presence keys, listed after `seen`, as of `etcdRevision` or later.
   */
  replace(listed: readonly KeptKey[], etcdRevision: number, now: number): void {
    const found = new Set<string>();
    for (const item of listed) {
      found.add(item.key);
      const entry = this.#entries.get(item.key);
      if (entry && (entry.removing || entry.etcdRevision > item.etcdRevision)) continue;
      const me = this.#view?.me;
      if (entry && entry.server === item.server && (item.server === me || entry.state === 'orphan')) {
        entry.etcdRevision = item.etcdRevision;
      } else if (item.server === me || this.isGone(item.server, item.etcdRevision)) {
        const endsAt = now + item.ttlMs + this.spareMs(item, now);
        this.#entries.set(item.key, { ...item, state: 'orphan', endsAt, removing: false });
      } else {
        this.#entries.delete(item.key);
      }
    }
    for (const [key, entry] of this.#entries) {
      if (!found.has(key) && !entry.removing && entry.etcdRevision > 0 && entry.etcdRevision <= etcdRevision) this.#entries.delete(key);
    }
  }

  /** What is over now. */
  due(now: number): BookEntry[] {
    const due: BookEntry[] = [];
    for (const entry of this.#entries.values()) if (entry.endsAt <= now && !entry.removing) due.push(entry);
    return due;
  }

  /** Nobody could renew for a while, and not through their own fault: nothing ends before this share of its time to live from now. */
  grace(share: number, now: number): void {
    for (const entry of this.#entries.values()) entry.endsAt = Math.max(entry.endsAt, now + entry.ttlMs * share);
  }
}
