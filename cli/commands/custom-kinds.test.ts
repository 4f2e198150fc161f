import { afterEach, beforeEach, describe as suite, expect, it } from '@jest/globals';
import { startInProcessApiServer, type RunningInProcessApiServer } from '../../apiserver/in-process.js';
import { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { SeededRandom } from '../../lib/random.js';
import type { CommandContext } from '../context.js';
import { MemoryOutput } from '../io.js';
import { apply } from './apply.js';
import { deleteObjects } from './delete.js';
import { describe } from './describe.js';
import { get } from './get.js';

const examples = 'manifests/custom-resources';

suite('the command line with kinds of the user', () => {
  const clock = new SystemClock();
  const random = new SeededRandom(1);
  let server: RunningInProcessApiServer;
  let client: ApiClient;

  beforeEach(async () => {
    server = await startInProcessApiServer({ clock, random });
    client = new ApiClient({ transport: server.transport() });
  });
  afterEach(async () => {
    await server.stop();
  });

  async function tell(verb: (context: CommandContext) => Promise<number>, stdin = ''): Promise<{ code: number; out: string; err: string }> {
    const out = new MemoryOutput();
    const err = new MemoryOutput();
    const io = { stdin: (async function* () { yield stdin; })(), out, err, env: {} };
    const code = await verb({ client, namespace: 'default', io, clock, random, signal: server.signal });
    return { code, out: out.text, err: err.text };
  }

  it('applies a definition and its object at once, and finds, describes and deletes the object', async () => {
    const applied = await tell((context) => apply(context, { filename: [examples] }));
    expect(applied).toEqual({ code: 0, err: '', out: 'customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com created\ncrontab.stable.example.com/my-new-cron-object created\n' });
    expect((await tell((context) => apply(context, { filename: [examples] }))).out).toMatch(/unchanged\n.*unchanged\n$/);
    for (const word of ['ct', 'crontabs', 'CronTab', 'crontab.stable.example.com', 'all']) {
      expect((await tell((context) => get(context, [word], {}))).out).toMatch(/my-new-cron-object\s+\* \* \* \* \*\/5\s+1\s/);
    }
    expect((await tell((context) => describe(context, ['crontab/my-new-cron-object'], {}))).out).toContain('my-new-cron-object');
    expect((await tell((context) => deleteObjects(context, ['ct', 'my-new-cron-object'], {}))).out).toBe('crontab.stable.example.com "my-new-cron-object" deleted\n');
  });

  it('still tells the nearest kind for a word that nobody knows', async () => {
    await expect(tell((context) => get(context, ['tsks'], {}))).rejects.toThrow('the server doesn\'t have a resource type "tsks"; did you mean tasks?');
    await expect(tell((context) => apply(context, { filename: ['-'] }), 'apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n')).rejects.toThrow('no matches for kind "Thing" in version "example.com/v1"');
  });
});
