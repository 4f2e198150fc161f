// supervise.ts
//
// One running process, until it has ended or the agent lets go of it: stops it when that is wanted (SIGTERM, the grace, SIGKILL), and kills it
// when it may run elsewhere.

import type { Task } from '../api/task.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { isVanished, type Execution } from './driver.js';
import type { Fence } from './fence.js';
import type { Journal, RecordedEnd, StopReason } from './journal.js';
import type { Wanted } from './wanted.js';

export interface Supervised {
  /** Of the attempt, in the journal. */
  key: string;
  execution: Execution;
  wanted: Wanted;
  /** Why an earlier agent stopped it. */
  stoppedBefore: StopReason | undefined;
  fence: Fence;
  journal: Journal;
  clock: Clock;
  logger: Logger;
  /** It is being stopped. */
  onStop(reason: StopReason): void;
  /** Tells the server that it runs, which takes it for lost. */
  sayRunning(): void;
  /** Its output is complete. */
  onEnd(): void;
}

/** Longer only takes what is stuck in the kernel. */
const putAwayMsMax = 1_000;

/** How it ended and why it was stopped, both in the journal; 'dropped' when nobody asks any more. */
export async function supervise(supervised: Supervised): Promise<{ end: RecordedEnd; stop: StopReason | undefined } | 'dropped'> {
  const { key, execution, wanted, stoppedBefore, fence, journal, clock, logger } = supervised;
  const { fenced } = wanted;
  let end: RecordedEnd | undefined;
  void execution.ended.then((ended) => {
    end = { ...ended, startedAt: execution.startedAt };
    wanted.wake();
  });
  let killedByFence = false;
  const release = fenced
    ? fence.guard(key, () => {
        killedByFence = true;
        execution.kill();
      })
    : () => undefined;
  let stop = stoppedBefore === undefined ? undefined : { reason: stoppedBefore, at: clock.now() };
  let killed = false;
  let answered: Task | undefined;
  while (!end) {
    if (wanted.order === 'detach') {
      // What has ended a moment ago is still being put away, and with its cgroup goes what that has counted.
      if (!execution.detach() && (await endsWithin(putAwayMsMax, execution, clock))) continue;
      release();
      return 'dropped';
    }
    const now = clock.now();
    const reason = wanted.stopReason;
    if (!stop && reason) {
      stop = { reason, at: now };
      journal.stop(key, reason);
      logger.info('stopping a task', { why: reason, graceMs: wanted.graceMs });
      supervised.onStop(reason);
      execution.terminate();
    }
    // Taken for lost with its node, and kept for it. While we are not present, it would only be taken for lost again.
    if (!stop && wanted.task.status?.phase === 'Unknown' && answered !== wanted.task) {
      if (fence.open) {
        answered = wanted.task;
        supervised.sayRunning();
      } else void fence.opened.then(() => wanted.wake());
    }
    const killAt = stop && stop.at + wanted.graceMs;
    if (!killed && (wanted.order === 'forget' || (killAt !== undefined && now >= killAt))) {
      killed = true;
      execution.kill();
    }
    await wanted.until(killed ? undefined : (killAt ?? wanted.deadlineAt));
  }
  release();
  supervised.onEnd();
  if (wanted.order === 'forget') {
    journal.done(key);
    return 'dropped';
  }
  // Killed by the watchdog while this process was held up.
  const killedFromOutside = fenced && !fence.open && (isVanished(end) || end.killed === true);
  if ((killedByFence || killedFromOutside) && !stop) {
    stop = { reason: 'Fenced', at: clock.now() };
    journal.stop(key, 'Fenced');
  }
  journal.end(key, end);
  return { end, stop: stop?.reason };
}

async function endsWithin(ms: number, execution: Execution, clock: Clock): Promise<boolean> {
  const waited = new AbortController();
  const ends = await Promise.race([execution.ended.then(() => true), sleep(clock, ms, waited.signal).then(() => false)]);
  waited.abort();
  return ends;
}
