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

describe('manifests that must be refused', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('are refused by taskplane apply with exactly the lines beside them, and nothing is stored', async (cluster) => {
    const before = await stored(cluster);
    for (const name of names) {
      const result = await cluster.taskplane(['apply', '-f', `${name}.yaml`], { cwd: folder });
      const expected = readFileSync(join(folder, `${name}.txt`), 'utf8').trim().split('\n');
      const lines = result.stderr.trim().split('\n');
      expect({ name, code: result.code, stdout: result.stdout, missing: expected.filter((line) => !lines.includes(line)) }).toEqual({ name, code: 1, stdout: '', missing: [] });
    }
    expect(await stored(cluster)).toEqual(before);
  }, 120_000);

  story('are refused for stock kubectl, with the words of the server', async (cluster) => {
    for (const name of names) {
      const before = await stored(cluster);
      const result = await cluster.kubectl(['apply', '-f', `${name}.yaml`], { cwd: folder });
      const expected = serverWords(readFileSync(join(folder, `${name}.txt`), 'utf8'));
      const missing = expected.filter((words) => !result.stderr.includes(words));
      expect({ name, code: result.code, missing: missing.length > 0 ? { missing, stderr: result.stderr } : [] }).toEqual({ name, code: 1, missing: [] });
      // kubectl sends documents one by one: a good one beside a bad one is stored.
      const added = (await stored(cluster)).filter((object) => !before.includes(object) && !object.endsWith('-fine'));
      expect({ name, added }).toEqual({ name, added: [] });
    }
  }, 120_000);

  story('whole folders are refused with all problems of all files at once', async (cluster) => {
    const before = await stored(cluster);
    const result = await cluster.taskplane(['apply', '-f', folder]);
    expect(result.code).toBe(1);
    for (const name of names) expect(result.stderr).toContain(`${name}.yaml:`);
    expect(await stored(cluster)).toEqual(before);
  });
});
