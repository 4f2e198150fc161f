import { deepFreeze } from '../../../lib/deep-freeze.js';
import { Entry } from '../../storage/entry.js';
import { GoneError, rootPrefix, type Store, type Write, type WriteOutcome } from '../../storage/store.js';
import type { CacheIndex, ChangeSink, ObjectCache, ObjectChange } from '../object-cache.js';

export class SimpleCache implements ObjectCache {
  revision = 0;
  #entries = new Map<string, Entry>();
  #subs = new Set<{ prefix: string; index?: { name: string; value: string } | undefined; sink: ChangeSink }>();
  #log: ObjectChange[] = [];
  #waiters: { at: number; go: () => void }[] = [];
  #start = 0;
  constructor(private readonly store: Store, private readonly indexes: readonly CacheIndex[]) {}

  async run(signal: AbortSignal): Promise<void> {
    const page = await this.store.list(rootPrefix);
    for (const item of page.items) this.#entries.set(item.key, this.#frozen(new Entry(item.key, item.value, item.revision)));
    this.revision = this.#start = page.revision;
    for await (const batch of this.store.watch(rootPrefix, page.revision, signal)) {
      const out: ObjectChange[] = [];
      for (const change of batch) {
        const previous = this.#entries.get(change.key);
        const entry = this.#frozen(new Entry(change.key, change.type === 'put' ? change.value : previous!.value, change.revision));
        if (change.type === 'put') this.#entries.set(change.key, entry);
        else this.#entries.delete(change.key);
        out.push({ type: change.type, key: change.key, revision: change.revision, entry, previous });
        this.revision = change.revision;
      }
      this.#log.push(...out);
      for (const sub of this.#subs) this.#give(sub, out);
      this.#waiters = this.#waiters.filter((w) => (w.at <= this.revision ? (w.go(), false) : true));
    }
  }
  #frozen(entry: Entry): Entry {
    deepFreeze(entry.object);
    return entry;
  }
  #give(sub: { prefix: string; index?: { name: string; value: string } | undefined; sink: ChangeSink }, all: readonly ObjectChange[]): void {
    const idx = sub.index && this.indexes.find((i) => i.name === sub.index!.name);
    const mine = all.filter((c) => (sub.prefix.endsWith('/') ? c.key.startsWith(sub.prefix) : c.key === sub.prefix) && (!idx || idx.valueOf(c.entry) === sub.index!.value || (c.previous && idx.valueOf(c.previous) === sub.index!.value)));
    if (mine.length) sub.sink.changes(mine);
  }
  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }
  list(prefix: string, { limit = Infinity, after = '' }: { limit?: number; after?: string } = {}) {
    const all = [...this.#entries.values()].filter((e) => e.key.startsWith(prefix) && e.key > after).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const items = all.slice(0, limit);
    return { items, revision: this.revision, next: items.length < all.length ? items.at(-1)!.key : undefined, remaining: all.length - items.length };
  }
  listByIndex(name: string, value: string): Entry[] {
    const index = this.indexes.find((i) => i.name === name)!;
    return [...this.#entries.values()].filter((e) => e.key.startsWith(index.prefix) && index.valueOf(e) === value);
  }
  async fresh(): Promise<void> {
    await this.reached(await this.store.currentRevision());
  }
  reached(at: number): Promise<void> {
    return this.revision >= at ? Promise.resolve() : new Promise((go) => this.#waiters.push({ at, go }));
  }
  subscribe(options: { prefix: string; after?: number; index?: { name: string; value: string } }, sink: ChangeSink): () => void {
    if (options.after !== undefined && options.after < this.#start) throw new GoneError(options.after, this.#start);
    const sub = { ...options, sink };
    if (options.after !== undefined) this.#give(sub, this.#log.filter((c) => c.revision > options.after!));
    this.#subs.add(sub);
    return () => this.#subs.delete(sub);
  }
  write(write: Write): Promise<WriteOutcome> {
    return this.store.write(write);
  }
}
