// hollow-tunnel.ts: keeps the one connection of a hollow agent, as agent/tunnel.ts does. Nobody asks a hollow agent for anything:
// what the server opens is refused.

import type { TunnelTransport } from '../client/tunnel-transport.js';
import { jitteredBackoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import { Mux } from '../lib/mux.js';
import type { Random } from '../lib/random.js';
import { dialHollowTunnel } from './hollow-channel.js';
import type { HollowDialer } from './hollow-dialer.js';

export interface HollowTunnelOptions {
  readonly nodeName: string;
  readonly dialer: HollowDialer;
  /** Told of each tunnel. */
  readonly transport: TunnelTransport;
  readonly clock: Clock;
  readonly random: Random;
}

export async function keepHollowTunnel({ nodeName, dialer, transport, clock, random }: HollowTunnelOptions, signal: AbortSignal): Promise<void> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      const channel = await dialHollowTunnel(dialer, nodeName);
      const mux = new Mux({ channel, initiator: false, onStream: (stream) => stream.reset('a hollow agent runs nothing') });
      transport.dialled(channel.takesRequests ? mux : undefined);
      failures = 1;
      await mux.closed;
    } catch {
      transport.dialled(undefined);
    }
    await sleep(clock, jitteredBackoffMs(reconnectBackoff, failures, random), signal);
  }
}
