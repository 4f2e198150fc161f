// store.ts
//
// The contract of the durable store: what the API server needs, and nothing a client knows of. Two stores keep it
// (etcd/, embedded/) and the watch cache keeps it for readers; store-contract.ts judges them all.
//
//   key        "/taskplane/registry/<group or core>/<plural>/[<namespace>/]<name>", printable ASCII
//   prefix     the beginning of keys, ending in "/"
//   value      JSON text of the object, without metadata.resourceVersion, apiVersion, kind and metadata first (entry.ts)
//   revision   a positive integer, one per write, growing, never reused: what clients see as resourceVersion
//
// An acknowledged write is on disk (and on a quorum, where there is one). Watches deliver every change once, in order
// of revision, or end with GoneError.

/** The root of every key. The store keeps keys of its own under it, outside `registry/`. */
export const rootPrefix = '/taskplane/';

/** Where the objects are that say whether others may be made: namespaces, and definitions of kinds. */
const placePrefixes = ['core/namespaces/', 'apiextensions.k8s.io/customresourcedefinitions/'].map((kind) => `${rootPrefix}registry/${kind}`);

/**
 * Whether a write waits in one line with those that make new objects: so does one of an object by which they were admitted, or it would be closed, emptied
 * and gone while what it has admitted still waits.
 */
export function goesWithNew({ op, key }: { readonly op: string; readonly key: string }): boolean {
  return op === 'create' || placePrefixes.some((prefix) => key.startsWith(prefix));
}

/** The longest value a store takes, UTF-8 bytes: what fits an etcd request (1.5 MiB by default) with room for the rest. */
export const valueBytesMax = 1_280 * 1_024;

/** One object as it is stored. Immutable and shared by every layer. */
export interface Stored {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

export type Write =
  /** Put if absent. */
  | { readonly op: 'create'; readonly key: string; readonly value: string }
  /** Put if the object is stored at exactly `revision`. */
  | { readonly op: 'update'; readonly key: string; readonly value: string; readonly revision: number }
  /** Remove if the object is stored at exactly `revision`. */
  | { readonly op: 'delete'; readonly key: string; readonly revision: number };

export type WriteOutcome =
  /** Durable. `revision` is the write's own (for a delete: the revision of the deletion). */
  | { readonly ok: true; readonly revision: number }
  /** The guard failed; nothing was written. `current` is what is stored, undefined when nothing is. */
  | { readonly ok: false; readonly current: Stored | undefined };

/** Its texts may be made when they are asked for, each time. */
export interface Change {
  readonly type: 'put' | 'delete';
  readonly key: string;
  /** The new value of a put; empty for a delete. */
  readonly value: string;
  readonly revision: number;
}

export interface Page {
  readonly items: readonly Stored[];
  /** The revision at which the whole list is true: a watch after it misses nothing and repeats nothing. */
  readonly revision: number;
  /** Pass as `after` for the next page, at the same revision; undefined on the last page. */
  readonly next: string | undefined;
}

export interface ListOptions {
  /** At most this many items; all when absent (the store pages internally). */
  readonly limit?: number;
  /** Only keys greater than this one. */
  readonly after?: string;
  /** Read as of this revision (of an earlier page). GoneError when it has been compacted. */
  readonly revision?: number;
}

export interface Store {
  /** The newest stored value, as of no earlier than the call. */
  read(key: string): Promise<Stored | undefined>;

  /** Objects under `prefix` in key order. @throws GoneError */
  list(prefix: string, options?: ListOptions): Promise<Page>;

  /**
   * All objects under `prefix`, in key order, in pages that are true at one revision, which is kept for as long as it takes.
   * Absent where a list does as well.
   */
  pages?(prefix: string): AsyncIterable<Page>;

  /**
   * Writes that are offered while a commit is under way share the next commit; each succeeds or conflicts on its own.
   * @throws StoreUnavailableError when the outcome is not known (`applied: 'unknown'`) or surely not applied (`'no'`)
   * @throws StoreOverloadedError when too many writes wait already; nothing was written
   * @throws ValueTooLargeError when the value exceeds valueBytesMax; nothing was written
   */
  write(write: Write): Promise<WriteOutcome>;

  /**
   * Every change under `prefix` after `revision`, in order, in batches. Survives the loss of a connection by itself.
   * Ends when `signal` aborts. @throws GoneError when changes after `revision` are no longer kept
   */
  watch(prefix: string, revision: number, signal: AbortSignal): AsyncIterable<readonly Change[]>;

  /**
   * The barrier of a strong read: whoever has received the batch of a watch that reaches this revision (holds a change of
   * it or of a later one), or has listed at it or later, knows every write acknowledged, by anyone, before this call. A
   * watch over `rootPrefix` reaches it without another write.
   */
  currentRevision(): Promise<number>;

  readonly presence: PresenceStore;

  /** Resolves, with why, when nothing will ever be read or written again: only a new process helps. Absent where that cannot be. */
  readonly failed?: Promise<Error>;

  /** Lets writes in flight finish, then releases everything. Idempotent. */
  close(): Promise<void>;
}

/**
 * Keys that live only as long as someone renews them. Renewals cost no durable write; the first announcement and the
 * expiry are ordinary changes that watchers see (put, delete). So is a renewal through another store than the last one, where
 * several share the data: it may put the same value again.
 */
export interface PresenceStore {
  /** Puts `key` if absent and keeps it for `ttlMs` from now. Outcome as for a create. */
  announce(key: string, value: string, ttlMs: number): Promise<WriteOutcome>;
  /**
   * Keeps `key` for its time to live from now. False when the key is not there (expired or never announced).
   * A key that was there when the store (re)started has a full time to live from then.
   * @throws StoreUnavailableError when the store cannot tell: the key then lives no longer than before
   */
  renew(key: string): Promise<boolean>;
  /** The same where it takes nothing but memory: true, and it is kept. Undefined: `renew` has to. Absent where that is always so. */
  renewNow?(key: string): true | undefined;
  /** Removes `key` at once. False when it is not there. */
  withdraw(key: string): Promise<boolean>;
}

/** Changes after the asked revision, or the asked revision itself, are no longer kept: list again. */
export class GoneError extends Error {
  override readonly name = 'GoneError';
  constructor(
    readonly askedRevision: number,
    readonly oldestRevision: number,
  ) {
    super(`too old resource version: ${askedRevision} (${oldestRevision})`);
  }
}

/** The store did not answer. A caller may repeat reads; a write only when `applied` is `'no'`. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
  constructor(
    message: string,
    readonly applied: 'no' | 'unknown',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Too many writes wait for a commit already. Nothing was written; the caller may try again later. */
export class StoreOverloadedError extends Error {
  override readonly name = 'StoreOverloadedError';
  constructor(readonly waitingWrites: number) {
    super(`the store is overloaded: ${waitingWrites} writes are waiting`);
  }
}

/** The value exceeds `valueBytesMax`. Nothing was written. */
export class ValueTooLargeError extends Error {
  override readonly name = 'ValueTooLargeError';
  constructor(
    readonly key: string,
    readonly bytes: number,
  ) {
    super(`the object is too large: ${bytes} bytes, at most ${valueBytesMax} are allowed`);
  }
}

/** The first string that is greater than every key under `prefix`. */
export function prefixEnd(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

/** A character takes three bytes of UTF-8 at most (one of four bytes counts as two in JavaScript). */
const bytesPerCharacterMax = 3;

/** @throws ValueTooLargeError */
export function refuseTooLarge(key: string, value: string): void {
  if (value.length * bytesPerCharacterMax <= valueBytesMax) return;
  const bytes = Buffer.byteLength(value);
  if (bytes > valueBytesMax) throw new ValueTooLargeError(key, bytes);
}
