// Finalizers hold a deleted object until their work is done; what belongs to an object goes with it.

import { describe, expect } from '@jest/globals';
import { configMapKind } from '../../api/config.js';
import { namespaceKind } from '../../api/namespace.js';
import { isReason } from '../../api/errors.js';
import { taskKind, type Task } from '../../api/task.js';
import { expectCode } from '../command.js';
import { scriptTask, stores } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

function ownedBy(owner: Task): { ownerReferences: { apiVersion: string; kind: string; name: string; uid: string }[] } {
  return { ownerReferences: [{ apiVersion: 'taskplane.dev/v1', kind: 'Task', name: owner.metadata.name!, uid: owner.metadata.uid! }] };
}

describe.each(stores)('ownership, store %s', (store) => {
  const { story } = withCluster({ store });

  story('an object with a finalizer stays, terminating, until it is taken off', async (cluster) => {
    await cluster.create(scriptTask('held', 'true', {}, { finalizers: ['example.com/archive'] }));
    await cluster.finished('held');
    await cluster.client.delete(taskKind, 'held', 'default');
    const held = await cluster.tasks.untilObject('default/held', 'to be terminating', (task) => Boolean(task.metadata.deletionTimestamp));
    expect(held.metadata.finalizers).toEqual(['example.com/archive']);
    await cluster.client.mergePatch(taskKind, 'held', 'default', { metadata: { finalizers: null } });
    await cluster.tasks.untilGone('default/held');
  });

  story('what belongs to a deleted object is deleted, with its processes; what has another owner stays', async (cluster) => {
    const [parent, other] = await cluster.create(scriptTask('parent', 'true'), scriptTask('other', 'true'));
    await cluster.create(
      scriptTask('child', 'sleep 600', { terminationGracePeriodSeconds: 1 }, ownedBy(parent!)),
      scriptTask('shared', 'true', {}, { ownerReferences: [...ownedBy(parent!).ownerReferences, ...ownedBy(other!).ownerReferences] }),
    );
    await cluster.client.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'of-parent', namespace: 'default', ...ownedBy(parent!) }, data: {} });
    await cluster.running('child');
    await cluster.client.delete(taskKind, 'parent', 'default');
    await cluster.tasks.untilGone('default/child');
    await cluster.eventually('the config map of the parent to go', () =>
      cluster.client.get(configMapKind, 'of-parent', 'default').then(() => undefined, (error: unknown) => (isReason(error, 'NotFound') ? true : undefined)),
    );
    expect(cluster.tasks.objects.has('default/shared')).toBe(true);
  });

  story('children are kept when their owner is deleted as an orphaning one', async (cluster) => {
    const [parent] = await cluster.create(scriptTask('leaver', 'true'));
    await cluster.create(scriptTask('orphan', 'true', {}, ownedBy(parent!)));
    await cluster.finished('orphan');
    expectCode(await cluster.kubectl(['delete', 'task', 'leaver', '--cascade=orphan']));
    const orphan = await cluster.tasks.untilObject('default/orphan', 'to be free', (task) => !task.metadata.ownerReferences?.length);
    expect(orphan.metadata.deletionTimestamp).toBeUndefined();
  });

  story('what users bring owns and is owned like everything else', async (cluster) => {
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'crews.example.com' },
      spec: {
        group: 'example.com',
        names: { plural: 'crews', singular: 'crew', kind: 'Crew' },
        scope: 'Namespaced',
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    };
    expectCode(await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(definition) }));
    expectCode(await cluster.kubectl(['wait', '--for=condition=Established', 'crd/crews.example.com']));
    expectCode(await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'example.com/v1', kind: 'Crew', metadata: { name: 'night', namespace: 'default' } }) }));
    const uid = expectCode(await cluster.kubectl(['get', 'crew', 'night', '-o', 'jsonpath={.metadata.uid}'])).stdout;
    const ownerReferences = [{ apiVersion: 'example.com/v1', kind: 'Crew', name: 'night', uid, blockOwnerDeletion: true }];
    await cluster.create(scriptTask('of-crew', 'sleep 600', { terminationGracePeriodSeconds: 1 }, { ownerReferences }));
    await cluster.running('of-crew');
    expectCode(await cluster.kubectl(['delete', 'crew', 'night', '--cascade=foreground', '--timeout=30s']));
    await expect(cluster.client.get(taskKind, 'of-crew', 'default')).rejects.toMatchObject({ reason: 'NotFound' });
    expectCode(await cluster.kubectl(['delete', 'crd', 'crews.example.com', '--timeout=30s']));
  });

  story('a deleted namespace takes everything in it', async (cluster) => {
    await cluster.client.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
    await cluster.create(scriptTask('in-team', 'sleep 600', { terminationGracePeriodSeconds: 1 }, { namespace: 'team' }));
    await cluster.running('team/in-team');
    expectCode(await cluster.taskplane(['delete', 'namespace', 'team']));
    await cluster.tasks.untilGone('team/in-team');
    await expect(cluster.client.get(namespaceKind, 'team')).rejects.toMatchObject({ reason: 'NotFound' });
    await expect(cluster.create(scriptTask('late', 'true', {}, { namespace: 'team' }))).rejects.toMatchObject({ reason: 'NotFound' });
  });
});
