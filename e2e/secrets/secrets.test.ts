// A secret reaches the task that asks for it, and nothing else: no log, no event, no error, no process title.

import { describe, expect } from '@jest/globals';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventKind } from '../../api/event.js';
import { secretKind } from '../../api/config.js';
import { expectCode } from '../command.js';
import { scriptTask, stores } from '../cluster.js';
import { processesOf } from '../leaks.js';
import { withCluster } from '../with-cluster.js';

const secret = 'correct-horse-battery-staple';
const encoded = Buffer.from(secret).toString('base64');

describe.each(stores)('a secret, store %s', (store) => {
  const { story } = withCluster({ store });

  story('appears nowhere but in its object and in the environment of its task', async (cluster) => {
    await cluster.client.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'words', namespace: 'default' }, stringData: { value: secret } });
    const env = [{ name: 'WORDS', valueFrom: { secretKeyRef: { name: 'words', key: 'value' } } }];
    await cluster.create(
      scriptTask('user', `printf %s "$WORDS" | sha256sum > ${cluster.path('checksum')}\nsleep 600`, { env, terminationGracePeriodSeconds: 1 }),
      scriptTask('failing', 'exit 5', { env, restartPolicy: 'OnFailure', backoffLimit: 2 }),
      { ...scriptTask('missing', ''), spec: { command: ['/no/such/program'], env } },
    );
    const checksum = createHash('sha256').update(secret).digest('hex');
    expect(await cluster.fileWritten(cluster.path('checksum'))).toBe(`${checksum}  -\n`);
    await cluster.finished('failing');
    await cluster.finished('missing');
    // Also when things go wrong with the secret itself.
    expectCode(await cluster.taskplane(['apply', '-f', '-'], { input: `apiVersion: v1\nkind: Secret\nmetadata: {name: words}\ntype: 7\nstringData: {value: ${secret}}\n` }), 1);

    const commandLines = (await processesOf(cluster.processes.directory)).map(({ commandLine }) => commandLine);
    const events = await cluster.client.list(eventKind);
    const tasks = [...cluster.tasks.objects.values()];
    const described = await Promise.all(['task/user', 'secret/words'].map((what) => cluster.taskplane(['describe', what])));
    const places = { ...(await cluster.logs()), commandLines, events, tasks, described: described.map((result) => expectCode(result).stdout) };
    for (const [place, content] of Object.entries(places)) {
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      expect({ place, found: text.includes(secret) || text.includes(encoded) }).toEqual({ place, found: false });
    }
    expect(events.items.length).toBeGreaterThan(0);
  });

  story('is kept by the agent in no file that others can read', async (cluster) => {
    const leaks: string[] = [];
    const walk = async (folder: string): Promise<void> => {
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) await walk(path);
        else if (entry.isFile() && (await readFile(path, 'utf8').catch(() => '')).includes(secret)) leaks.push(path);
      }
    };
    await walk(cluster.processes.agentDirectory(cluster.node('n1')));
    await walk(cluster.processes.logDirectory);
    expect(leaks).toEqual([]);
  });
});
