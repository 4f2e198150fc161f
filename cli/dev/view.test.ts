import { describe, expect, it } from '@jest/globals';
import type { Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import { FakeClock } from '../../lib/fake-clock.js';
import { SeededRandom } from '../../lib/random.js';
import { MemoryOutput } from '../io.js';
import { TaskView } from './view.js';

function finished(name: string, finishTime: string): Task {
  return {
    apiVersion: 'taskplane.dev/v1',
    kind: 'Task',
    metadata: { name, namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { command: ['true'] },
    status: { phase: 'Succeeded', exitCode: 0, finishTime },
  } as Task;
}

describe('TaskView', () => {
  it('tells of a task that has finished before it looked, unless that was before its time', async () => {
    const out = new MemoryOutput();
    const stop = new AbortController();
    const client = {
      list: async () => ({ metadata: { resourceVersion: '7' }, items: [finished('old', '2026-01-01T00:00:09Z'), finished('new', '2026-01-01T00:00:10Z')] }),
      async *watchBatches() {
        yield [];
        stop.abort();
      },
    } as unknown as ApiClient;
    const view = new TaskView({
      client,
      io: { out, err: out, env: {}, stdin: (async function* () {})() },
      clock: new FakeClock(),
      random: new SeededRandom(1),
      title: '',
      since: Date.parse('2026-01-01T00:00:10.900Z'),
      hints: [],
      onResize: () => () => undefined,
    });
    await view.run(stop.signal);
    expect(out.text).toBe('task new: Succeeded (exit code 0)\n1 task has finished already\n');
  });
});
