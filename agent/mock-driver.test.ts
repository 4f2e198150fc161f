import { SystemClock } from '../lib/clock.js';
import { driverContract } from './driver-contract.js';
import { MockDriver, MockMachine } from './mock-driver.js';

const script = (parts: Record<string, string>) => ({ annotations: Object.fromEntries(Object.entries(parts).map(([key, value]) => [`mock.taskplane.dev/${key}`, value])) });

driverContract(
  'MockDriver',
  () => {
    const clock = new SystemClock();
    const machine = new MockMachine(clock);
    return Promise.resolve({ driver: new MockDriver({ clock, machine }), next: () => new MockDriver({ clock, machine }), running: () => Promise.resolve(), dispose: () => Promise.resolve() });
  },
  {
    exits: (code) => script({ 'exit-code': String(code) }),
    runsForever: () => script({ 'run-for': 'forever' }),
    ignoresTerminate: () => script({ 'run-for': 'forever', 'on-terminate': 'ignore' }),
    cannotStart: () => script({ 'start-error': 'no such program' }),
  },
);
