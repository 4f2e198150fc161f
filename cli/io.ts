// io.ts: what a command may touch of the outside, passed in so that tests see exactly what a user sees.

import { once } from 'node:events';

export interface Output {
  write(text: string | Uint8Array): void;
  /** Whether a person looks at it: colours, progress and redrawing are for them only. */
  readonly isTerminal: boolean;
  /** Resolves when what was written has gone on, or nearly so; absent where nothing waits. */
  drained?(): Promise<void>;
  /** Size of the terminal; undefined where there is none. */
  size(): { columns: number; rows: number } | undefined;
}

export interface Io {
  stdin: AsyncIterable<Buffer | string>;
  out: Output;
  err: Output;
  env: Readonly<Record<string, string | undefined>>;
}

/** What a test gives a command, and what it wrote. */
export class MemoryOutput implements Output {
  text = '';
  constructor(readonly isTerminal = false) {}

  write(text: string | Uint8Array): void {
    this.text += typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
  }

  size(): { columns: number; rows: number } | undefined {
    return this.isTerminal ? { columns: 80, rows: 24 } : undefined;
  }
}

export function processIo(): ProcessIo {
  return new ProcessIo();
}

export class ProcessIo implements Io {
  readonly stdin = process.stdin;
  readonly env = process.env;
  readonly out: Output;
  readonly err: Output;
  /**
   * Called when nobody reads any more: the reader of a pipe may leave early (`taskplane get tasks | head -1`), and a
   * terminal may be closed. That ends us quietly, as it ends any filter; whoever has something to clean up sets another.
   */
  onReaderGone: () => void = () => process.exit(process.exitCode ?? 0);

  constructor() {
    this.out = this.#output(process.stdout);
    this.err = this.#output(process.stderr);
  }

  #output(stream: NodeJS.WriteStream): Output {
    let gone = false;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!['EPIPE', 'EIO', 'ERR_STREAM_DESTROYED'].includes(error.code ?? '')) throw error;
      if (!gone) this.onReaderGone();
      gone = true;
    });
    return {
      write: (text) => void (gone || stream.write(text)),
      drained: async () => {
        if (!gone && stream.writableNeedDrain) await once(stream, 'drain').catch(() => undefined);
      },
      get isTerminal() {
        return Boolean(stream.isTTY);
      },
      size: () => (stream.isTTY ? { columns: stream.columns || 80, rows: stream.rows || 24 } : undefined),
    };
  }
}
