// driver-contract.ts: the suite that judges every driver. A test file calls it with a way to make one.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isExecution, StartError, type Driver, type Execution, type StartSpec } from './driver.js';

export interface DriverFixture {
  driver: Driver;
  /** A second driver over the same machine, as an agent that follows would make it. */
  next(): Driver;
  /** Resolves when the command of an attempt that was just started really runs. */
  running(key: string): Promise<void>;
  dispose(): Promise<void>;
}

/** What each kind of command looks like for the driver under test. */
export interface DriverCommands {
  exits(code: number): Partial<StartSpec>;
  runsForever(): Partial<StartSpec>;
  ignoresTerminate(): Partial<StartSpec>;
  cannotStart(): Partial<StartSpec>;
}

let counter = 0;
/** Several test processes may run at once, and what carries a uid is killed with its attempt, whoever started it. */
const uidStart = `${process.pid.toString(16).padStart(8, '0')}-0000-4000-8000-`;

export function startSpec(parts: Partial<StartSpec>): StartSpec {
  const key = parts.key ?? `${uidStart}${String(++counter).padStart(12, '0')}-1-1`;
  const [, uid] = /^(.*)-\d+-\d+$/.exec(key) ?? [];
  return {
    argv: [],
    limits: {},
    requests: {},
    fenced: false,
    annotations: {},
    ...parts,
    key,
    env: { PATH: process.env['PATH'] ?? '', TASKPLANE_TASK_UID: uid ?? '', TASKPLANE_TASK_ATTEMPT: '1', ...parts.env },
  };
}

export function driverContract(name: string, make: () => Promise<DriverFixture>, commands: DriverCommands): void {
  describe(`${name} keeps the driver contract`, () => {
    let fixture: DriverFixture;
    beforeEach(async () => {
      fixture = await make();
    });
    afterEach(() => fixture.dispose());
    const start = (parts: Partial<StartSpec>): Promise<Execution> => fixture.driver.start(startSpec(parts));

    it.each([0, 1, 3, 137, 255])('reports exit code %i and no signal', async (code) => {
      const execution = await start(commands.exits(code));
      expect(await execution.ended).toMatchObject({ exitCode: code, oomKilled: false });
      expect(await execution.ended).not.toHaveProperty('signal');
    });

    it('terminates a command that listens to SIGTERM', async () => {
      const execution = await start(commands.runsForever());
      execution.terminate();
      expect(await execution.ended).toMatchObject({ exitCode: 143, signal: 'SIGTERM' });
    });

    it('kills a command that ignores SIGTERM', async () => {
      const execution = await start(commands.ignoresTerminate());
      execution.terminate();
      execution.kill();
      expect(await execution.ended).toMatchObject({ exitCode: 137, signal: 'SIGKILL' });
    });

    it('throws StartError when the command cannot be started', async () => {
      await expect(start(commands.cannotStart())).rejects.toThrow(StartError);
    });

    it('refuses to start the same attempt twice', async () => {
      const spec = startSpec(commands.exits(0));
      await (await fixture.driver.start(spec)).ended;
      await expect(fixture.driver.start(spec)).rejects.toThrow('was started before');
      await expect(fixture.next().start(spec)).rejects.toThrow('was started before');
    });

    it('hands a running attempt to the driver that follows', async () => {
      const first = await start(commands.runsForever());
      await fixture.running(first.key);
      first.detach();
      const found = await fixture.next().recover(first.key);
      if (found === 'never-started' || !isExecution(found)) throw new Error(`not running: ${JSON.stringify(found)}`);
      expect(found.pid).toBe(first.pid);
      found.terminate();
      expect(await found.ended).toMatchObject({ exitCode: 143, signal: 'SIGTERM' });
    });

    it('recovers the exit code of an attempt that ended meanwhile', async () => {
      const first = await start(commands.exits(7));
      await first.ended;
      expect(await fixture.next().recover(first.key)).toMatchObject({ exitCode: 7 });
    });

    it('says that an attempt without a trace never started', async () => {
      expect(await fixture.driver.recover(`${uidStart}00000000dead-1-1`)).toBe('never-started');
    });

    it('sweeps attempts that nobody wants to keep', async () => {
      const kept = await start(commands.runsForever());
      const swept = await start(commands.runsForever());
      await fixture.running(swept.key);
      await fixture.next().sweep(new Set([kept.key]));
      if (fixture.driver.isolation !== 'process-group') expect(await swept.ended).toMatchObject({ exitCode: 137 });
      expect(kept.usage()).toBeDefined();
      kept.kill();
      swept.kill();
      await Promise.all([kept.ended, swept.ended]);
    });
  });
}
