// database-thread.ts
//
// The database in a thread of its own: a commit, its fsync and the checkpoints that SQLite makes hold up nobody but those
// who wait for them. Calls go over in order and are answered in order, so a queue is all the book-keeping there is.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Deferred } from '../../../lib/deferred.js';
import { StoreUnavailableError, type Change, type Stored } from '../store.js';
import { errorOf, packed, type Answer, type Call } from './database-calls.js';
import type { Committed, DatabaseOptions, EmbeddedWrite, Rows, RowsOptions } from './database.js';
import type { DatabaseHost, Opened } from './database-host.js';

/** Little outlives a call in that thread; a small young generation keeps it small. */
const youngGenerationMb = 4;

/** The database in a thread that runs `database-worker.ts`. */
export class DatabaseThread implements DatabaseHost {
  readonly #worker: Worker;
  readonly #waiting: Deferred<unknown>[] = [];
  readonly #exited: Promise<unknown>;
  /** Why the thread has ended. */
  #ended: Error | undefined;
  readonly #failed = new Deferred<Error>();
  #closing = false;
  #opened: Opened | undefined;

  /** @param program the built worker @throws what SQLite says */
  static async open(options: DatabaseOptions, program: URL): Promise<DatabaseThread> {
    const thread = new DatabaseThread(options, program);
    try {
      thread.#opened = (await thread.#answer()) as Opened;
    } catch (error) {
      await thread.#exited;
      throw error;
    }
    return thread;
  }

  private constructor(options: DatabaseOptions, program: URL) {
    // What the program was started with (profilers, heap limits) is for the main thread.
    this.#worker = new Worker(program, { name: 'database', workerData: options, execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb } });
    this.#worker.on('message', (answer: Answer) => {
      const waiting = this.#waiting.shift()!;
      if ('result' in answer) waiting.resolve(answer.result);
      else waiting.reject(errorOf(answer.failure));
    });
    this.#worker.on('error', (error) => this.#end(`failed: ${error.message}`, error));
    this.#worker.on('exit', () => this.#end('has ended'));
    this.#exited = once(this.#worker, 'exit').catch(() => {});
  }

  get opened(): Opened {
    return this.#opened!;
  }

  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  commit(writes: readonly EmbeddedWrite[], keepAfter: number): Promise<Committed> {
    return this.#call({ call: 'commit', writes: packed(writes), keepAfter }) as Promise<Committed>;
  }

  read(key: string): Promise<Stored | undefined> {
    return this.#call({ call: 'read', key }) as Promise<Stored | undefined>;
  }

  list(prefix: string, options: RowsOptions): Promise<Rows> {
    return this.#call({ call: 'list', prefix, options }) as Promise<Rows>;
  }

  changes(prefix: string, after: number, upTo: number): Promise<readonly Change[]> {
    return this.#call({ call: 'changes', prefix, after, upTo }) as Promise<readonly Change[]>;
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (!this.#ended) await this.#call({ call: 'close' });
    await this.#exited;
  }

  #call(call: Call): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    this.#worker.postMessage(call);
    return this.#answer();
  }

  #answer(): Promise<unknown> {
    const answer = new Deferred<unknown>();
    this.#waiting.push(answer);
    return answer.promise;
  }

  #end(how: string, cause?: Error): void {
    this.#ended ??= new StoreUnavailableError(`the thread of the database ${how}`, 'unknown', { cause });
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#ended);
    if (!this.#closing) this.#failed.resolve(this.#ended);
  }
}
