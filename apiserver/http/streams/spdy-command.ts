// spdy-command.ts
//
// Exec and attach over SPDY: the client opens one stream for each of `error` (how it ended), `stdin`, `stdout`, `stderr` and
// `resize`, as far as it asked for them, and says which in the header `streamtype`.

import type { Status } from '../../../api/errors.js';
import { channels, type Frame } from '../../../api/stream-frames.js';
import type { Clock } from '../../../lib/clock.js';
import { encodeStatus } from './command-status.js';
import type { CommandClient } from './remote-command.js';
import type { SpdyConnection, SpdyStream } from './spdy/connection.js';
import type { CommandOptions } from './stream-request.js';

/** The best first; the header X-Stream-Protocol-Version. */
export const commandProtocols = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const;
export type CommandProtocol = (typeof commandProtocols)[number];

/** The client has this long to open the streams that it asked for. */
const openingMsMax = 30_000;
const sizeBytesMax = 1_024;

export class SpdyCommand implements CommandClient {
  readonly #protocol: CommandProtocol;
  readonly #connection: () => SpdyConnection;
  readonly #streams = new Map<string, SpdyStream>();
  readonly #expected: ReadonlySet<string>;
  readonly #gone = new AbortController();
  #complete: () => void = () => undefined;
  #finished = false;

  /** @param options.connection the connection that `open` is told the streams of */
  constructor(options: { connection: () => SpdyConnection; protocol: CommandProtocol; command: CommandOptions }) {
    const { command, protocol } = options;
    this.#connection = options.connection;
    this.#protocol = protocol;
    const asked = (['stdin', 'stdout', 'stderr'] as const).filter((name) => command[name]);
    const resizes = command.tty && (protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io');
    this.#expected = new Set(['error', ...asked, ...(resizes ? ['resize'] : [])]);
  }

  /** The client opened a stream. */
  open(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype') ?? '';
    if (!this.#expected.has(type) || this.#streams.has(type)) return stream.refuse();
    this.#streams.set(type, stream);
    stream.accept();
    if (this.#streams.size === this.#expected.size) this.#complete();
  }

  /** Resolves when every stream is open; false when the client is gone or does not open them in time. */
  async opened(clock: Clock): Promise<boolean> {
    if (this.#streams.size === this.#expected.size) return true;
    return new Promise((resolve) => {
      const done = (whole: boolean): void => {
        timer.cancel();
        resolve(whole);
      };
      const timer = clock.timer(openingMsMax, () => done(false), { unref: true });
      this.#complete = () => done(true);
      this.gone.addEventListener('abort', () => done(false), { once: true });
      if (this.gone.aborted) done(false);
    });
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The connection is over. */
  left(): void {
    this.#gone.abort();
  }

  async forward(send: (frame: Frame) => Promise<void>): Promise<void> {
    await Promise.all([this.#forwardInput(send), this.#forwardSizes(send)]);
  }

  async #forwardInput(send: (frame: Frame) => Promise<void>): Promise<void> {
    const stream = this.#streams.get('stdin');
    if (!stream) return;
    for await (const payload of stream) await send({ channel: channels.stdin, payload });
    if (!this.gone.aborted) await send({ channel: channels.close, payload: Buffer.of(channels.stdin) });
  }

  /** One JSON value per line, cut anywhere. */
  async #forwardSizes(send: (frame: Frame) => Promise<void>): Promise<void> {
    const stream = this.#streams.get('resize');
    if (!stream) return;
    let text = '';
    for await (const data of stream) {
      const lines = (text + data.toString('latin1')).split('\n');
      text = lines.pop()!.slice(0, sizeBytesMax);
      for (const line of lines) await send({ channel: channels.resize, payload: Buffer.from(line) });
    }
  }

  async write(channel: number, data: Buffer): Promise<void> {
    const stream = this.#streams.get(channel === channels.stdout ? 'stdout' : 'stderr');
    // A client that closed one of its streams wants no more of it.
    await stream?.write(data).catch(() => undefined);
  }

  finish(status: Status): void {
    if (this.#finished) return;
    this.#finished = true;
    const text = encodeStatus(status, this.#protocol === 'v4.channel.k8s.io');
    if (text.length > 0) this.#streams.get('error')?.write(text).catch(() => undefined);
    for (const stream of this.#streams.values()) stream.end();
    this.#connection().close();
  }
}
