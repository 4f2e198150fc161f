// hollow-presence.ts
//
// The renewals of a hollow agent: the same messages as a real agent's over the same tunnel, but made once, as an agent that runs
// nothing never has another load to tell. While one is not answered the next goes beside the tunnel, as a real agent's
// does (client/hedge.ts).

import type { PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { decodeMessage, encodeMessage, isReplyHead } from '../api/tunnel-message.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Mux } from '../lib/mux.js';
import type { Random } from '../lib/random.js';

export interface HollowPresenceOptions {
  readonly nodeName: string;
  readonly request: PresenceRequest;
  readonly userAgent: string;
  readonly periodMs: number;
  /** The tunnel, while there is one. */
  mux(): Mux | undefined;
  /** The same renewal beside the tunnel. */
  direct(): Promise<PresenceResponse>;
  /** It was late and is lost: it has nothing to stop, so it comes back at once. */
  comeBack(): Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
}

export class HollowPresence {
  readonly #options: HollowPresenceOptions;
  readonly #message: Buffer;
  /** The answer to the last renewal has not come. */
  #waiting = false;

  constructor(options: HollowPresenceOptions) {
    const { nodeName, request, userAgent } = options;
    this.#options = options;
    const headers = { 'user-agent': userAgent, accept: 'application/json', 'content-type': 'application/json' };
    this.#message = encodeMessage({ method: 'POST', url: `/api/v1/nodes/${encodeURIComponent(nodeName)}/presence`, headers }, JSON.stringify(request));
  }

  /** Renews until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, periodMs } = this.#options;
    // Agents of a real cluster were not started in the same moment.
    await sleep(clock, random.float() * periodMs, signal);
    const tick = (): void => {
      if (signal.aborted) return;
      clock.timer(periodMs, tick);
      this.#renew();
    };
    tick();
  }

  #renew(): void {
    const { mux, direct } = this.#options;
    const tunnel = mux();
    if (!tunnel?.mayCall || this.#waiting) return void direct().then(({ present }) => this.#told(present), () => undefined);
    this.#waiting = true;
    tunnel.call(this.#message).then(
      (answer) => {
        this.#waiting = false;
        this.#told(isPresent(answer));
      },
      () => (this.#waiting = false),
    );
  }

  #told(present: boolean): void {
    if (!present) void this.#options.comeBack().catch(() => undefined);
  }
}

const presentText = Buffer.from('"present":true');

/** An answer that says so, or one that says nothing of it: an error is no word of an absence, except that of a node that is gone. */
function isPresent(answer: Buffer): boolean {
  if (answer.includes(presentText)) return true;
  const head = decodeMessage(answer)?.head;
  return isReplyHead(head) && head.status >= 400 && head.status !== 404;
}
