// hollow-tunnel.ts: keeps the one connection of a hollow agent, as agent/tunnel.ts does. Nobody asks a hollow agent for anything:
// what the server opens is refused.

import { jitteredBackoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import { Mux } from '../lib/mux.js';
import type { Random } from '../lib/random.js';
import { dialHollowTunnel } from './hollow-channel.js';
import type { HollowDialer } from './hollow-dialer.js';

export interface HollowTunnelOptions {
  readonly nodeName: string;
  readonly dialer: HollowDialer;
  /** Told how each dial ended: with a tunnel that takes requests, or without one. */
  dialled(mux: Mux | undefined): void;
  readonly clock: Clock;
  readonly random: Random;
}

export async function keepHollowTunnel({ nodeName, dialer, dialled, clock, random }: HollowTunnelOptions, signal: AbortSignal): Promise<void> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      const channel = await dialHollowTunnel(dialer, nodeName);
      const mux = new Mux({ channel, initiator: false, onStream: (stream) => stream.reset('a hollow agent runs nothing') });
      dialled(channel.takesRequests ? mux : undefined);
      failures = 1;
      await mux.closed;
    } catch {
      dialled(undefined);
    }
    await sleep(clock, jitteredBackoffMs(reconnectBackoff, failures, random), signal);
  }
}
