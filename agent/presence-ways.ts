// presence-ways.ts
//
// Renewals of presence go over the tunnel, and beside it when no answer comes in time: a tunnel that has died without a word (a firewall that
// forgot the connection) must not cost the tasks of this node. One that leaves renewal after renewal unanswered that the server answers beside it
// is such a tunnel: it is given up, so that watch and reports do not wait until its silence is noticed.

import type { PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { hedged } from '../client/hedge.js';
import type { Clock } from '../lib/clock.js';

type Renewal = (request: PresenceRequest) => Promise<PresenceResponse>;

export interface PresenceWaysOptions {
  /** Over the tunnel, where there is one. */
  tunnelled: Renewal;
  /** Over a connection of its own. */
  direct: Renewal;
  tunnel: {
    /** There is no tunnel, and none is being dialled: both ways are the same. */
    readonly isDirect: boolean;
    /** Another one is to be dialled. */
    abandon(): void;
  };
  clock: Clock;
}

/** As many renewals in a row. A server that is only slow answers over the tunnel, too, if late. */
const unansweredMax = 3;

/** @returns a renewal, given how long to wait before it is asked for beside the tunnel, too */
export function presenceWays({ tunnelled, direct, tunnel, clock }: PresenceWaysOptions): (request: PresenceRequest, patienceMs: number) => Promise<PresenceResponse> {
  let unanswered = 0;
  return (request, patienceMs) => {
    if (tunnel.isDirect) return direct(request);
    let answered = false;
    const first = async (): Promise<PresenceResponse> => {
      const answer = await tunnelled(request);
      answered = true;
      unanswered = 0;
      return answer;
    };
    const second = async (): Promise<PresenceResponse> => {
      const answer = await direct(request);
      if (!answered && ++unanswered >= unansweredMax) {
        unanswered = 0;
        tunnel.abandon();
      }
      return answer;
    };
    return hedged({ first, second, patienceMs, clock });
  };
}
