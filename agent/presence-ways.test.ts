import { describe, expect, it } from '@jest/globals';
import type { PresenceResponse } from '../api/protocol.js';
import { FakeClock } from '../lib/fake-clock.js';
import { presenceWays } from './presence-ways.js';

const request = { session: 's', announce: false, load: { cpuMilli: 0, memoryBytes: 0, loadAverage: 0 } };
const answer: PresenceResponse = { present: true, ttlMs: 2_000 };

describe('renewals of presence', () => {
  /** @param tunnelled what the tunnel does with a renewal */
  function ways(tunnelled: () => Promise<PresenceResponse>, tunnel = { isDirect: false }) {
    const clock = new FakeClock();
    const told = { direct: 0, abandoned: 0 };
    const direct = (): Promise<PresenceResponse> => {
      told.direct++;
      return Promise.resolve(answer);
    };
    const renewal = presenceWays({ tunnelled, direct, tunnel: { get isDirect() { return tunnel.isDirect; }, abandon: () => told.abandoned++ }, clock });
    const renew = async (): Promise<PresenceResponse> => {
      const renewed = renewal(request, 500);
      await clock.advance(500);
      return renewed;
    };
    return { renew, told, tunnel };
  }
  const silence = (): Promise<PresenceResponse> => new Promise(() => undefined);

  it('go beside a tunnel that does not answer, which is given up for another after three', async () => {
    const { renew, told } = ways(silence);
    for (const abandoned of [0, 0, 1, 1]) {
      expect(await renew()).toBe(answer);
      expect(told.abandoned).toBe(abandoned);
    }
  });

  it('go beside a tunnel that answers late, which is kept', async () => {
    const late: (() => void)[] = [];
    const { renew, told } = ways(() => new Promise((resolve) => late.push(() => resolve(answer))));
    for (let renewals = 0; renewals < 6; renewals++) {
      await renew();
      for (const arrive of late.splice(0)) arrive();
      await Promise.resolve();
    }
    expect(told).toEqual({ direct: 6, abandoned: 0 });
  });

  it('are asked for once where there is no tunnel', async () => {
    const { renew, told } = ways(silence, { isDirect: true });
    await renew();
    expect(told).toEqual({ direct: 1, abandoned: 0 });
  });
});
