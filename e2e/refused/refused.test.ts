// Bad manifests are refused with words that help, by taskplane apply before anything is sent and by the server for
// kubectl; nothing of them is stored.

import { describe, expect } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { namespaceKind } from '../../api/namespace.js';
import { secretKind, configMapKind } from '../../api/config.js';
import { taskKind } from '../../api/task.js';
import type { KindDefinition } from '../../api/kind.js';
import type { Cluster } from '../cluster.js';
import { fileBeside } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

const folder = fileBeside(import.meta.url, '../../manifests/refused');
const names = readdirSync(folder).filter((name) => name.endsWith('.yaml')).map((name) => name.slice(0, -'.yaml'.length));

async function stored(cluster: Cluster): Promise<string[]> {
  const kinds = [taskKind, secretKind, configMapKind, namespaceKind] as unknown as KindDefinition[];
  const lists = await Promise.all(kinds.map((kind) => cluster.client.list(kind)));
  return lists.flatMap((list, index) => list.items.map((item) => `${kinds[index]!.plural}/${item.metadata.namespace ?? ''}/${item.metadata.name}`));
}

/** What the server says of a manifest that kubectl lets through: the problems without file and line, and without our advice. */
function serverWords(text: string): string[] {
  return text
    .split('\n')
    .map((line) => /^[^:]+:\d+: (?:(?:spec|metadata)\S*: (.*)|(unknown field "[^"]+"))/.exec(line))
    .flatMap((match) => (match ? [match[1] ?? match[2]!] : []));
}

/** kubectl reads the YAML itself: of a key that stands twice the server sees only the last. */
const notSeenByServer = new Set(['duplicate-key']);
/** Found by kubectl, in its own words. */
const kubectlsOwnWords = new Set(['no-name']);

describe('manifests that must be refused', () => {
  const { story } = withCluster({ store: 'embedded', nodes: [] });

  story('are refused by taskplane apply with exactly the lines beside them, and nothing is stored', async (cluster) => {
    const before = await stored(cluster);
    const problems: object[] = [];
    const refuse = async (name: string): Promise<void> => {
      const result = await cluster.taskplane(['apply', '-f', `${name}.yaml`], { cwd: folder });
      const expected = readFileSync(join(folder, `${name}.txt`), 'utf8').trim().split('\n');
      const lines = result.stderr.trim().split('\n');
      const missing = expected.filter((line) => !lines.includes(line));
      if (result.code !== 1 || result.stdout !== '' || missing.length > 0) problems.push({ name, missing, ...result });
    };
    const waiting = [...names];
    const worker = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await refuse(name);
    };
    await Promise.all([worker(), worker(), worker()]);
    expect(problems).toEqual([]);
    expect(await stored(cluster)).toEqual(before);
  }, 120_000);

  story('are refused for stock kubectl, with the words of the server', async (cluster) => {
    const problems: object[] = [];
    for (const name of names.filter((candidate) => !notSeenByServer.has(candidate))) {
      const before = await stored(cluster);
      const result = await cluster.kubectl(['apply', '-f', `${name}.yaml`], { cwd: folder });
      const expected = kubectlsOwnWords.has(name) ? [] : serverWords(readFileSync(join(folder, `${name}.txt`), 'utf8'));
      const missing = expected.filter((words) => !result.stderr.includes(words));
      // kubectl sends documents one by one: a good one beside a bad one is stored.
      const added = (await stored(cluster)).filter((object) => !before.includes(object) && !object.endsWith('-fine'));
      if (result.code !== 1 || missing.length > 0 || added.length > 0) problems.push({ name, added, missing, ...result });
    }
    expect(problems).toEqual([]);
  }, 120_000);

  story('whole folders are refused with all problems of all files at once', async (cluster) => {
    const before = await stored(cluster);
    const result = await cluster.taskplane(['apply', '-f', folder]);
    expect(result.code).toBe(1);
    for (const name of names) expect(result.stderr).toContain(`${name}.yaml:`);
    expect(await stored(cluster)).toEqual(before);
  });
});
