import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../api/errors.js';
import type { Node } from '../api/node.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SeededRandom } from '../lib/random.js';
import { NodeRegistration, type NodeRegistrationOptions } from './node-status.js';

/** A server with at most this node. @param keepsStatus whether a node is made with its status, as by a server of today */
function server(stored?: Node, keepsStatus = true): { requests: string[]; client: NodeRegistrationOptions['client']; node(): Node | undefined } {
  const requests: string[] = [];
  let node = stored;
  const asked = async (what: string, next?: Node): Promise<Node> => {
    requests.push(what);
    if (next) node = next;
    return node!;
  };
  const client = {
    get: () => asked('get'),
    create: async (_kind: unknown, { status, ...made }: Node) => {
      if (!node) return asked('create', { ...made, ...(keepsStatus ? { status } : {}) });
      requests.push('create');
      throw new ApiError('AlreadyExists', 'there is one');
    },
    update: (_kind: unknown, next: Node) => asked('update', next),
    mergePatch: (_kind: unknown, _name: string, _namespace: unknown, { metadata }: Partial<Node>) => asked('patch', { ...node!, metadata: { ...node!.metadata, labels: { ...node!.metadata.labels, ...metadata?.labels } } }),
  } as unknown as NodeRegistrationOptions['client'];
  return { requests, client, node: () => node };
}

async function register(client: NodeRegistrationOptions['client']): Promise<void> {
  const random = new SeededRandom(1);
  const registration = new NodeRegistration({ client, nodeName: 'n', labels: { zone: 'a' }, capacity: {}, dataDir: '/', isolation: 'process-group', isolationProblem: undefined, version: '1', clock: new FakeClock(), random, logger: silentLogger });
  await registration.register(new AbortController().signal);
}

describe('registration of a node', () => {
  it('is one request for a new node', async () => {
    const { requests, client, node } = server();
    await register(client);
    expect(requests).toEqual(['create']);
    expect(node()).toMatchObject({ metadata: { name: 'n', labels: { zone: 'a' } }, status: { conditions: expect.arrayContaining([expect.objectContaining({ type: 'Ready' })]) } });
  });

  it('writes the status by itself where the server makes nodes without', async () => {
    const { requests, client, node } = server(undefined, false);
    await register(client);
    expect(requests).toEqual(['create', 'update']);
    expect(node()?.status?.nodeInfo?.kubeletVersion).toBe('1');
  });

  it('brings a node that is there up to date, and leaves what others have said of it', async () => {
    const { requests, client, node } = server({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, status: { conditions: [{ type: 'Theirs', status: 'True' }] } });
    await register(client);
    expect(requests).toEqual(['create', 'get', 'patch', 'update']);
    expect(node()?.status?.conditions?.map(({ type }) => type)).toEqual(expect.arrayContaining(['Theirs', 'Ready']));
  });
});
