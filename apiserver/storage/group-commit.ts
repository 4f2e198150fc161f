// group-commit.ts
//
// Writes that are offered while a commit is under way share the next one: one round of raft, one fsync, for all of them.
//
//   ready      writes that may go into the next batch, in the order they were offered, in two lines: new objects, and all else. While both
//              wait they go in turn, so that what becomes of objects does not wait behind a flood of new ones, nor they behind it.
//   in flight  batches given to `commit` and not yet answered; a key is in at most one of them, once
//   held       writes whose key is ready or in flight already, per key, in order: so that the order per key is kept
//
// There is no timer: an idle committer starts at the end of the current event-loop turn, so that latency is one commit
// and everything offered in that turn goes along; a busy one batches only what queues up meanwhile.

import { Deferred } from '../../lib/deferred.js';
import { StoreOverloadedError } from './store.js';

export interface GroupCommitOptions<Op, Outcome> {
  /**
   * Commits a batch; answers one outcome per operation, in order. A rejection is the answer of every operation in it.
   */
  readonly commit: (batch: readonly Op[]) => Promise<readonly Outcome[]>;
  readonly keyOf: (op: Op) => string;
  readonly bytesOf: (op: Op) => number;
  /** Whether the operation makes a new object, or waits with those that do. @default none does */
  readonly isNew?: (op: Op) => boolean;
  /**
   * The outcome of `op` if it is plain from the outcome that an earlier operation on its key just had, undefined if it must
   * be committed. So a hundred writers that raced for one key cost one commit to refuse, not a hundred.
   */
  readonly settle?: (op: Op, earlier: Op, outcome: Outcome) => Outcome | undefined;
  /** Batches in flight at once. */
  readonly inFlightMax: number;
  /** Operations per batch. */
  readonly batchOpsMax: number;
  /** Bytes per batch; an operation that is larger than this goes alone. */
  readonly batchBytesMax: number;
  /** Operations that may wait; past it an offer is refused. */
  readonly waitingOpsMax: number;
  /** Bytes that may wait; past it an offer is refused. */
  readonly waitingBytesMax: number;
}

interface Offer<Op, Outcome> {
  readonly op: Op;
  readonly key: string;
  readonly bytes: number;
  readonly answer: Deferred<Outcome>;
}

/** Offers in order of arrival. */
class Line<Item> {
  #items: Item[] = [];
  /** How many have been taken; the array is cut when they outnumber the rest. */
  #taken = 0;

  get isEmpty(): boolean {
    return this.#taken === this.#items.length;
  }

  get first(): Item | undefined {
    return this.#items[this.#taken];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  drop(): void {
    this.#taken++;
    if (this.#taken * 2 <= this.#items.length) return;
    this.#items = this.#items.slice(this.#taken);
    this.#taken = 0;
  }
}

export class GroupCommit<Op, Outcome> {
  readonly #options: GroupCommitOptions<Op, Outcome>;
  readonly #new = new Line<Offer<Op, Outcome>>();
  readonly #others = new Line<Offer<Op, Outcome>>();
  /** Whose turn it is. */
  #next = this.#others;
  /** Present for every key that is ready or in flight; the array, made when it is needed, holds what waits behind it. */
  readonly #held = new Map<string, Offer<Op, Outcome>[] | undefined>();
  #waitingOps = 0;
  #waitingBytes = 0;
  #inFlight = 0;
  #scheduled = false;
  #idle: Deferred<void> | undefined;

  constructor(options: GroupCommitOptions<Op, Outcome>) {
    this.#options = options;
  }

  /**
   * The outcome of `op`, once it is committed.
   * @throws StoreOverloadedError when too much waits already
   */
  offer(op: Op): Promise<Outcome> {
    const { keyOf, bytesOf, waitingOpsMax, waitingBytesMax } = this.#options;
    const bytes = bytesOf(op);
    if (this.#waitingOps >= waitingOpsMax || (this.#waitingOps > 0 && this.#waitingBytes + bytes > waitingBytesMax)) {
      return Promise.reject(new StoreOverloadedError(this.#waitingOps));
    }
    const offer: Offer<Op, Outcome> = { op, key: keyOf(op), bytes, answer: new Deferred() };
    this.#waitingOps++;
    this.#waitingBytes += bytes;
    const held = this.#held.get(offer.key);
    if (held) {
      held.push(offer);
    } else if (this.#held.has(offer.key)) {
      this.#held.set(offer.key, [offer]);
    } else {
      this.#held.set(offer.key, undefined);
      this.#lineUp(offer);
      this.#schedule();
    }
    return offer.answer.promise;
  }

  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void> {
    if (this.#held.size === 0) return Promise.resolve();
    return (this.#idle ??= new Deferred()).promise;
  }

  #lineUp(offer: Offer<Op, Outcome>): void {
    (this.#options.isNew?.(offer.op) ? this.#new : this.#others).push(offer);
  }

  get #isReady(): boolean {
    return !this.#new.isEmpty || !this.#others.isEmpty;
  }

  /** The line whose turn it is not. */
  get #other(): Line<Offer<Op, Outcome>> {
    return this.#next === this.#new ? this.#others : this.#new;
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= this.#options.inFlightMax) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#inFlight < this.#options.inFlightMax && this.#isReady) void this.#run(this.#takeBatch());
  }

  #takeBatch(): Offer<Op, Outcome>[] {
    const { batchOpsMax, batchBytesMax } = this.#options;
    const batch: Offer<Op, Outcome>[] = [];
    let bytes = 0;
    while (batch.length < batchOpsMax && this.#isReady) {
      const line = this.#next.isEmpty ? this.#other : this.#next;
      const offer = line.first!;
      if (batch.length > 0 && bytes + offer.bytes > batchBytesMax) break;
      line.drop();
      this.#next = line === this.#new ? this.#others : this.#new;
      batch.push(offer);
      bytes += offer.bytes;
    }
    this.#waitingOps -= batch.length;
    this.#waitingBytes -= bytes;
    return batch;
  }

  async #run(batch: readonly Offer<Op, Outcome>[]): Promise<void> {
    this.#inFlight++;
    try {
      const outcomes = await this.#options.commit(batch.map((offer) => offer.op));
      batch.forEach((offer, index) => {
        offer.answer.resolve(outcomes[index]!);
        const held = this.#held.get(offer.key);
        if (held) this.#release(offer.key, this.#unsettled(held, offer, outcomes[index]!));
        else this.#held.delete(offer.key);
      });
    } catch (error) {
      for (const offer of batch) {
        offer.answer.reject(error);
        this.#release(offer.key, this.#held.get(offer.key) ?? []);
      }
    }
    this.#inFlight--;
    if (this.#held.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
    if (this.#isReady) this.#schedule();
  }

  /** Answers those of `held` whose outcome is plain; the others are left. */
  #unsettled(held: Offer<Op, Outcome>[], earlier: Offer<Op, Outcome>, outcome: Outcome): Offer<Op, Outcome>[] {
    const { settle } = this.#options;
    if (!settle) return held;
    return held.filter((offer) => {
      const settled = settle(offer.op, earlier.op, outcome);
      if (settled === undefined) return true;
      offer.answer.resolve(settled);
      this.#waitingOps--;
      this.#waitingBytes -= offer.bytes;
      return false;
    });
  }

  /** The first that waits behind the key is ready, if there is one. */
  #release(key: string, held: Offer<Op, Outcome>[]): void {
    const next = held.shift();
    if (!next) return void this.#held.delete(key);
    this.#held.set(key, held);
    this.#lineUp(next);
  }
}
