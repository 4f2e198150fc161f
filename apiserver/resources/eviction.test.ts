import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KindDefinition } from '../../api/kind.js';
import { podKind as pod, type Pod } from '../../api/pod.js';
import { Evictor } from './eviction.js';
import { taskKind, TestCluster } from './testing/cluster.js';

const podKind = pod as unknown as KindDefinition;

describe('Evictor', () => {
  let cluster: TestCluster;
  let evictor: Evictor;
  beforeEach(async () => {
    cluster = await TestCluster.start();
    evictor = new Evictor({ mutator: cluster.resources.mutator, clock: cluster.clock });
    await cluster.createNode('n');
    await cluster.createTask('a', { terminationGracePeriodSeconds: 7 });
    await cluster.bindTask('a', 'n');
  });
  afterEach(() => cluster.stop());

  const podA = async (): Promise<Pod> => cluster.read(await cluster.resources.get(cluster.caller, cluster.target(podKind, 'a'))) as Pod;
  const stopped = async () => {
    const { metadata, status } = await cluster.getTask('a');
    const [outcome] = await cluster.bulk.status({ nodeName: 'n', items: [{ namespace: 'default', name: 'a', uid: metadata.uid, bindings: status!.bindings, attempt: status!.attempt, phase: 'Evicted', reason: 'Evicted' }] });
    return outcome!.code;
  };

  it('asks for the task to be stopped, with its own grace, once', async () => {
    const before = await podA();
    const { going, uid } = await evictor.evict(cluster.target(podKind, 'a'), {});
    expect([going, uid]).toEqual([true, before.metadata.uid]);
    const { resourceVersion } = (await cluster.getTask('a')).metadata;
    await evictor.evict(cluster.target(taskKind, 'a'), { gracePeriodSeconds: 60 });
    const task = await cluster.getTask('a');
    expect(task.status?.eviction).toMatchObject({ gracePeriodSeconds: 7, reason: 'EvictionByEvictionAPI' });
    expect(task.metadata.resourceVersion).toBe(resourceVersion);
    await evictor.evict(cluster.target(taskKind, 'a'), { gracePeriodSeconds: 0 });
    expect((await cluster.getTask('a')).status?.eviction).toMatchObject({ gracePeriodSeconds: 0 });
  });

  it('writes nothing for a dry run', async () => {
    const { pod: asked } = await evictor.evict(cluster.target(podKind, 'a'), { dryRun: true });
    expect(asked.object.metadata.deletionTimestamp).toBeDefined();
    expect((await cluster.getTask('a')).status?.eviction).toBeUndefined();
  });

  it('holds preconditions against the uid of the kind that was asked for', async () => {
    const [task, { metadata }] = [await cluster.getTask('a'), await podA()];
    await expect(evictor.evict(cluster.target(podKind, 'a'), { preconditions: { uid: task.metadata.uid! } })).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
    await expect(evictor.evict(cluster.target(podKind, 'a'), { preconditions: { resourceVersion: '1' } })).rejects.toMatchObject({ code: 409 });
    await evictor.evict(cluster.target(podKind, 'a'), { preconditions: { uid: metadata.uid! } });
    await expect(evictor.evict(cluster.target(podKind, 'zz'), {})).rejects.toMatchObject({ code: 404, message: 'pods "zz" not found' });
  });

  it('shows watchers one Pod going and another one coming', async () => {
    const seen = await cluster.watch({ kind: podKind, namespace: 'default' });
    const old = (await seen.next()).object.metadata;
    await evictor.evict(cluster.target(podKind, 'a'), {});
    expect((await seen.next()).object.metadata).toMatchObject({ uid: old.uid, deletionGracePeriodSeconds: 7 });
    expect(await stopped()).toBe(200);
    const [gone, come] = [await seen.next(), await seen.next()];
    expect([gone.type, gone.object.metadata.uid, come.type]).toEqual(['DELETED', old.uid, 'ADDED']);
    expect(come.object.metadata.uid).not.toBe(old.uid);
    expect(Number(gone.object.metadata.resourceVersion)).toBe(Number(come.object.metadata.resourceVersion) - 1);
    await cluster.bindTask('a', 'n');
    const bound = await seen.next();
    expect([bound.type, bound.object.metadata.uid]).toEqual(['MODIFIED', come.object.metadata.uid]);
    // Cut off after the DELETED, the watch says it again: nothing is missed.
    const again = await cluster.watch({ kind: podKind, namespace: 'default' }, { resourceVersion: gone.object.metadata.resourceVersion! });
    expect([(await again.next()).type, (await again.next()).type]).toEqual(['DELETED', 'ADDED']);
    seen.stop();
    again.stop();
  });

  it('takes the Pod of a finished task off its node, and leaves the task', async () => {
    const { metadata, status } = await cluster.getTask('a');
    await cluster.bulk.status({ nodeName: 'n', items: [{ namespace: 'default', name: 'a', uid: metadata.uid, bindings: 1, attempt: 1, phase: 'Succeeded', exitCode: 0 }] });
    const on = async () => (await cluster.resources.list(cluster.caller, { kind: podKind, namespace: undefined }, { fieldSelector: 'spec.nodeName=n' })).items.length;
    expect(await on()).toBe(1);
    expect(await evictor.evict(cluster.target(podKind, 'a'), {})).toMatchObject({ going: false });
    expect(await on()).toBe(0);
    const after = await cluster.getTask('a');
    expect([after.status?.phase, after.status?.nodeName, status?.nodeName]).toEqual(['Succeeded', 'n', 'n']);
  });

  it('lets a deleted task go with the report', async () => {
    await evictor.evict(cluster.target(podKind, 'a'), {});
    await cluster.resources.delete(cluster.caller, cluster.target(taskKind, 'a'), {});
    expect(await stopped()).toBe(200);
    await expect(cluster.getTask('a')).rejects.toMatchObject({ code: 404 });
  });
});
