// Large requests on connections that are kept, one right after the reply to the one before: what agents and controllers
// send when much happens at once.

import { describe, expect } from '@jest/globals';
import { bulkPaths } from '../../api/protocol.js';
import { scriptTask } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

const requests = 16;
const itemsPerRequest = 1_000;
const connections = 4;

describe('large requests', () => {
  const { story } = withCluster({ store: 'embedded', nodes: [] });

  story('follow large replies on the same connections without one being cut', async (cluster) => {
    const failures: unknown[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < requests) {
        const request = next++;
        const items = Array.from({ length: itemsPerRequest }, (_, index) => scriptTask(`large-${request}-${index}`, 'true'));
        await cluster.client.bulk(bulkPaths.create, { items }).catch((error: unknown) => failures.push(error));
      }
    };
    await Promise.all(Array.from({ length: connections }, worker));
    expect(failures).toEqual([]);
    await cluster.tasks.until('all tasks to be there', () => cluster.tasks.objects.size === requests * itemsPerRequest);
  });
});
