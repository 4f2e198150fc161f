import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventKind as eventDefinition } from '../../api/event.js';
import { eventV1Kind as eventV1Definition } from '../../api/event-v1.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { TestCluster } from './testing/cluster.js';

const eventKind = eventDefinition as unknown as KindDefinition;
const eventV1Kind = eventV1Definition as unknown as KindDefinition;

describe('events, one store and two groups', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const recorded = {
    metadata: { name: 'e' },
    eventTime: '2026-11-21T10:00:00.123456Z',
    reportingController: 'example.com/widgets',
    reportingInstance: 'widgets-0',
    action: 'Reconcile',
    reason: 'Created',
    regarding: { kind: 'Task', name: 't', namespace: 'default' },
    note: 'made',
    type: 'Normal',
    deprecatedSource: {},
    deprecatedFirstTimestamp: null,
    deprecatedLastTimestamp: null,
  };
  const get = async (kind: KindDefinition): Promise<KubeObject> => cluster.read(await cluster.resources.get(cluster.caller, cluster.target(kind, 'e')));
  const select = async (kind: KindDefinition, fieldSelector: string): Promise<number> => (await cluster.resources.list(cluster.caller, { kind, namespace: undefined }, { fieldSelector })).items.length;

  it('shows in each what was written through the other', async () => {
    const seen = await cluster.watch({ kind: eventKind, namespace: 'default' });
    const created = await cluster.create(eventV1Kind, recorded);
    expect(Object.keys(created).slice(0, 3)).toEqual(['apiVersion', 'kind', 'metadata']);
    expect(created).toMatchObject({ apiVersion: 'events.k8s.io/v1', note: 'made', eventTime: '2026-11-21T10:00:00.123456Z' });
    expect((await seen.next()).object).toMatchObject({ apiVersion: 'v1', message: 'made', involvedObject: { name: 't' }, reportingComponent: 'example.com/widgets' });
    const series = { count: 2, lastObservedTime: '2026-11-21T10:01:00.000000Z' };
    const patched = await cluster.resources.patch(cluster.caller, cluster.target(eventV1Kind, 'e'), 'application/merge-patch+json', { series }, {});
    expect(cluster.read(patched)).toMatchObject({ apiVersion: 'events.k8s.io/v1', series, note: 'made' });
    expect(await get(eventKind)).toMatchObject({ apiVersion: 'v1', series, message: 'made', metadata: { uid: created.metadata.uid } });
    await cluster.resources.patch(cluster.caller, cluster.target(eventKind, 'e'), 'application/merge-patch+json', { message: 'changed' }, {});
    expect(await get(eventV1Kind)).toMatchObject({ note: 'changed' });
    await cluster.resources.delete(cluster.caller, cluster.target(eventV1Kind, 'e'), {});
    await expect(get(eventKind)).rejects.toMatchObject({ code: 404 });
  });

  it('selects by the fields of its own group', async () => {
    await cluster.create(eventV1Kind, recorded);
    expect(await select(eventV1Kind, 'regarding.name=t,reason=Created,reportingController=example.com/widgets')).toBe(1);
    expect(await select(eventV1Kind, 'regarding.kind!=Task')).toBe(0);
    expect(await select(eventKind, 'involvedObject.name=t,reportingComponent=example.com/widgets,source=example.com/widgets,type=Normal')).toBe(1);
    await expect(select(eventKind, 'regarding.name=t')).rejects.toMatchObject({ code: 400 });
  });

  it('refuses what has no place in the newer group, with every reason', async () => {
    const wrong = { ...recorded, eventTime: undefined, deprecatedCount: 3, type: 'Odd' };
    await expect(cluster.create(eventV1Kind, wrong)).rejects.toMatchObject({ code: 422, details: { causes: [{ field: 'eventTime' }, { field: 'type' }, { field: 'count' }] } });
    await cluster.create(eventV1Kind, recorded);
    const patch = cluster.resources.patch(cluster.caller, cluster.target(eventV1Kind, 'e'), 'application/merge-patch+json', { reason: 'Other' }, {});
    await expect(patch).rejects.toMatchObject({ code: 422, message: 'Event.events.k8s.io "e" is invalid: reason: Invalid value: "Other": field is immutable' });
  });

  it('wants an event beside its object', async () => {
    await expect(cluster.create(eventKind, { metadata: { name: 'x' }, involvedObject: { namespace: 'other' } })).rejects.toMatchObject({
      message: 'Event "x" is invalid: involvedObject.namespace: Invalid value: "other": does not match event.namespace',
    });
  });
});
