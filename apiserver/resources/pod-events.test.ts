import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventKind as event } from '../../api/event.js';
import type { KindDefinition } from '../../api/kind.js';
import { podUid } from '../../api/pod.js';
import type { Task } from '../../api/task.js';
import { TestCluster } from './testing/cluster.js';

const eventKind = event as unknown as KindDefinition;

describe('the events of a Pod', () => {
  let cluster: TestCluster;
  let task: Task;
  beforeEach(async () => {
    cluster = await TestCluster.start();
    task = await cluster.createTask('a');
    const about = (kind: string, apiVersion: string, name: string, uid: string) => ({ metadata: { generateName: 'e-' }, involvedObject: { kind, apiVersion, name, namespace: 'default', uid }, reason: `${kind}-${name}`, type: 'Normal', message: 'm' });
    await cluster.create(eventKind, about('Task', 'taskplane.dev/v1', 'a', task.metadata.uid!));
    await cluster.create(eventKind, about('Pod', 'v1', 'a', podUid(task)));
    await cluster.create(eventKind, about('Task', 'taskplane.dev/v1', 'b', 'u'));
    await cluster.create(eventKind, about('ConfigMap', 'v1', 'a', 'u'));
  });
  afterEach(() => cluster.stop());

  const found = async (fieldSelector: string): Promise<string[]> => {
    const { items } = await cluster.resources.list(cluster.caller, { kind: eventKind, namespace: 'default' }, { fieldSelector });
    return items.map(({ object }) => String(object['reason'])).toSorted();
  };

  it('are its own and those of its task, as kubectl describe pod asks for them', async () => {
    expect(await found(`involvedObject.name=a,involvedObject.namespace=default,involvedObject.uid=${podUid(task)}`)).toEqual(['Pod-a', 'Task-a']);
  });

  it('are found by kind, as kubectl events --for asks for them', async () => {
    expect(await found('involvedObject.kind=Pod,involvedObject.apiVersion=v1,involvedObject.name=a')).toEqual(['Pod-a', 'Task-a']);
    const seen = await cluster.watch({ kind: eventKind, namespace: 'default' }, { fieldSelector: 'involvedObject.kind=Pod,involvedObject.name=b' });
    expect((await seen.next()).object['reason']).toBe('Task-b');
    seen.stop();
  });

  it('are not mixed into those of anything else', async () => {
    expect(await found(`involvedObject.name=a,involvedObject.uid=${task.metadata.uid}`)).toEqual(['Task-a']);
    expect(await found('involvedObject.kind=Task,involvedObject.name=a')).toEqual(['Task-a']);
    expect(await found('involvedObject.kind=ConfigMap,involvedObject.name=a')).toEqual(['ConfigMap-a']);
    expect(await found('involvedObject.kind=Pod')).toEqual(['Pod-a']);
    expect(await found('involvedObject.name=a,involvedObject.uid=u')).toEqual(['ConfigMap-a']);
  });
});
