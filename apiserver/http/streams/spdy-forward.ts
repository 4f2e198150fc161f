// spdy-forward.ts
//
// Port forwarding over SPDY. For each connection that its user makes the client opens two streams, `error` and `data` by the
// header `streamtype`, that bear the same `requestid` and `port`. Old clients number nothing: there `data` is the stream
// right after its `error`.

import type { Clock, Timer } from '../../../lib/clock.js';
import { forwardingError, relayReplies, type ForwardTarget } from './forward.js';
import type { SpdyStream } from './spdy/connection.js';
import { portOf } from './stream-request.js';

export const forwardProtocol = 'portforward.k8s.io';

/** The second stream of a pair has this long. */
const pairingMsMax = 30_000;

interface Pair {
  port: number;
  data?: SpdyStream;
  error?: SpdyStream;
  timer: Timer;
}

export class SpdyForward {
  readonly #target: ForwardTarget;
  readonly #clock: Clock;
  readonly #pairs = new Map<string, Pair>();

  constructor(options: { target: ForwardTarget; clock: Clock }) {
    this.#target = options.target;
    this.#clock = options.clock;
  }

  /** The client opened a stream. */
  open(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype');
    const port = portOf(stream.headers.get('port') ?? '');
    if (port === undefined || (type !== 'data' && type !== 'error')) return stream.refuse();
    const id = stream.headers.get('requestid') ?? `stream ${type === 'error' ? stream.id : stream.id - 2}`;
    const pair = this.#pairs.get(id) ?? this.#expect(id, port);
    if (pair[type] || pair.port !== port) return stream.refuse();
    pair[type] = stream;
    stream.accept();
    const { data, error } = pair;
    if (!data || !error) return;
    pair.timer.cancel();
    this.#pairs.delete(id);
    void this.#forward(port, data, error);
  }

  /** The connection is over. */
  close(): void {
    for (const { timer } of this.#pairs.values()) timer.cancel();
    this.#pairs.clear();
  }

  #expect(id: string, port: number): Pair {
    const late = (): void => {
      this.#pairs.delete(id);
      pair.data?.reset();
      pair.error?.reset();
    };
    const pair: Pair = { port, timer: this.#clock.timer(pairingMsMax, late, { unref: true }) };
    this.#pairs.set(id, pair);
    return pair;
  }

  async #forward(port: number, data: SpdyStream, error: SpdyStream): Promise<void> {
    const why = await this.#connected(port, data);
    data.end();
    if (why !== undefined) await error.write(forwardingError(this.#target, port, why)).catch(() => undefined);
    data.finish();
    error.finish();
  }

  /** @returns what to tell the client */
  async #connected(port: number, data: SpdyStream): Promise<string | undefined> {
    try {
      const agent = this.#target.connect(port);
      const gone = (): void => agent.reset('the client went away');
      data.gone.addEventListener('abort', gone, { once: true });
      if (data.gone.aborted) gone();
      let writing = false;
      const send = async (): Promise<void> => {
        for await (const piece of data) {
          writing = true;
          await agent.write(piece);
          writing = false;
        }
        if (!data.gone.aborted) agent.end();
      };
      send().catch(() => undefined);
      const why = await relayReplies(agent, (piece) => data.write(piece));
      // Nobody waits for the rest: kubectl closes a connection whose other side has ended.
      if (writing) agent.reset('the connection has ended');
      else agent.end();
      return data.gone.aborted ? undefined : why;
    } catch (refused) {
      return (refused as Error).message;
    }
  }
}
