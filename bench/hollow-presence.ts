// hollow-presence.ts
//
// The renewals of a hollow agent: the same messages as a real agent's over the same tunnel, as often, but made once, as an agent that runs
// nothing never has another load to tell. What is not answered in the time that a real agent has patience for is asked for beside the tunnel,
// too (client/renewal-times.ts, client/hedge.ts).

import type { PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { decodeMessage, encodeMessage, isReplyHead } from '../api/tunnel-message.js';
import { renewalTimes, type RenewalTimes } from '../client/renewal-times.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Mux } from '../lib/mux.js';
import type { Random } from '../lib/random.js';

export interface HollowPresenceOptions {
  readonly nodeName: string;
  readonly request: PresenceRequest;
  readonly userAgent: string;
  /** What the announcement was answered. */
  readonly announced: PresenceResponse;
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
  #times: RenewalTimes;
  /** The answer to the last renewal has not come. */
  #waiting = false;
  /** The body of the last answer that said that all is well: nearly all are the same. */
  #lastWell: Buffer | undefined;

  constructor(options: HollowPresenceOptions) {
    const { nodeName, request, userAgent, announced } = options;
    this.#options = options;
    this.#times = renewalTimes(announced.ttlMs, announced.renewAfterMs);
    const headers = { 'user-agent': userAgent, accept: 'application/json', 'content-type': 'application/json' };
    this.#message = encodeMessage({ method: 'POST', url: `/api/v1/nodes/${encodeURIComponent(nodeName)}/presence`, headers }, JSON.stringify(request));
  }

  /** Renews until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    // Agents of a real cluster were not started in the same moment.
    await sleep(clock, random.float() * this.#times.everyMs, signal);
    const due = (): void => {
      if (signal.aborted) return;
      const { everyMs, patienceMs } = this.#times;
      this.#renew();
      clock.timer(patienceMs, () => {
        // As client/hedge.ts: the answer may have come, and not been read yet.
        clock.timer(0, () => {
          if (this.#waiting) this.#askBeside();
        });
        clock.timer(everyMs - patienceMs, due);
      });
    };
    due();
  }

  #renew(): void {
    const tunnel = this.#options.mux();
    if (!tunnel?.mayCall || this.#waiting) return this.#askBeside();
    this.#waiting = true;
    tunnel.call(this.#message).then(
      (answer) => {
        this.#waiting = false;
        this.#read(answer);
      },
      () => (this.#waiting = false),
    );
  }

  #askBeside(): void {
    void this.#options.direct().then((response) => this.#told(response), () => undefined);
    this.#lastWell = undefined;
  }

  #read(answer: Buffer): void {
    const last = this.#lastWell;
    if (last && answer.length > last.length && answer.compare(last, 0, last.length, answer.length - last.length) === 0) return;
    const { head, body } = decodeMessage(answer) ?? {};
    if (!isReplyHead(head) || body === undefined) return;
    if (head.status === 404) return this.#comeBack();
    // Another error is no word of an absence.
    if (head.status >= 400) return;
    const response = JSON.parse(body.toString('utf8')) as PresenceResponse;
    this.#told(response);
    if (response.present) this.#lastWell = Buffer.from(body);
  }

  #told({ present, ttlMs, renewAfterMs }: PresenceResponse): void {
    if (!present) return this.#comeBack();
    this.#times = renewalTimes(ttlMs, renewAfterMs);
  }

  #comeBack(): void {
    void this.#options.comeBack().catch(() => undefined);
  }
}
