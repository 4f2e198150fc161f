import { describe, expect, it } from '@jest/globals';
import { bulkPaths, type EventBulk, type StatusBulk } from '../api/protocol.js';
import type { Task } from '../api/task.js';
import { ApiClient } from '../client/api-client.js';
import { FakeClock } from '../lib/fake-clock.js';
import { SystemRandom } from '../lib/random.js';
import { HollowTasks } from './hollow-tasks.js';

describe('the tasks of a hollow agent', () => {
  it('are told as those of a real one: that they run, the event of their start, and their end', async () => {
    const clock = new FakeClock();
    const sent: string[] = [];
    const transport = {
      request: ({ path, body }: { path: string; body?: string }) => {
        const { items } = JSON.parse(body!) as StatusBulk & EventBulk;
        for (const item of items) sent.push(path === bulkPaths.status ? item.phase : `${item.component} ${item.reason} ${item.involvedObject.name}: ${item.message}`);
        return Promise.resolve({ status: 200, headers: {}, body: JSON.stringify({ items: items.map(() => ({ code: 200 })) }) });
      },
      stream: () => Promise.reject(new Error('nothing is streamed')),
      close: () => Promise.resolve(),
    };
    const succeeded: string[] = [];
    const tasks = new HollowTasks({ nodeName: 'n1', reporter: 'r', client: new ApiClient({ transport, clock }), lastMs: 1_000, clock, random: new SystemRandom(), onSucceeded: (name) => succeeded.push(name) });
    const stop = new AbortController();
    const running = tasks.run(stop.signal);
    const task = { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'a', namespace: 'default', uid: 'u' }, spec: {}, status: { attempt: 1, bindings: 1 } } as Task;
    const performed = tasks.perform(task, stop.signal);
    await clock.advance(300);
    await clock.advance(1_000);
    await performed;
    stop.abort();
    await running;
    expect([sent.slice(0, 2).sort(), sent[2]]).toEqual([['Running', 'agent Started a: started attempt 1 on node n1'], 'Succeeded']);
    expect(succeeded).toEqual(['a']);
  });
});
