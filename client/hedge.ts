import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';

/**
 * Asks one way, and if no answer has come within `patienceMs` another way, too; the first answer counts. For what may be
 * said twice only.
 * @throws what the second way says when both fail, or the first when it fails in time
 */
export async function hedged<T>(options: { first(): Promise<T>; second(): Promise<T>; patienceMs: number; clock: Clock }): Promise<T> {
  const { first, second, patienceMs, clock } = options;
  const late = new Deferred<'late'>();
  // A process that was stopped or busy finds its timers due before it has read what came meanwhile: it looks again when it has.
  let timer = clock.timer(patienceMs, () => (timer = clock.timer(0, () => late.resolve('late'))));
  const asked = first();
  // Whoever does not wait for it any more does not want its failure either.
  asked.catch(() => undefined);
  try {
    const outcome = await Promise.race([asked.then((answer) => ({ answer })), late.promise]);
    if (outcome !== 'late') return outcome.answer;
  } finally {
    timer.cancel();
  }
  const again = second();
  return Promise.any([asked, again]).catch(() => again);
}
