// What controllers of others keep in a cluster: ConfigMaps, Secrets, namespaces, events; made and shown by every kubectl.

import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect } from '@jest/globals';
import { parse } from 'yaml';
import type { EventV1 } from '../../api/event-v1.js';
import { eventV1Kind } from '../../api/event-v1.js';
import { leaseKind, type Lease } from '../../api/lease.js';
import { expectCode, type CommandResult } from '../command.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { stockKubectls } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';

const { story } = withCluster({ store: 'embedded' });

type Run = (...args: string[]) => Promise<CommandResult>;

/** A certificate and its key: the admin's own. */
async function keyPair(cluster: Cluster): Promise<{ cert: string; key: string }> {
  const config = parse(await readFile(cluster.processes.adminKubeconfig, 'utf8')) as { users: { user: Record<string, string> }[] };
  const { user } = config.users[0]!;
  const paths = { cert: cluster.path('tls.crt'), key: cluster.path('tls.key') };
  await writeFile(paths.cert, Buffer.from(user['client-certificate-data']!, 'base64'));
  await writeFile(paths.key, Buffer.from(user['client-key-data']!, 'base64'));
  return paths;
}

describe.each(stockKubectls())('kubectl $title', ({ title, path }) => {
  const own = (name: string): string => `${name}-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;
  const runner = (cluster: Cluster): Run => async (...args) => expectCode(await cluster.kubectl(args, { program: path }));

  story('creates secrets of every type, and shows no value of them', async (cluster) => {
    const run = runner(cluster);
    const { cert, key } = await keyPair(cluster);
    await run('create', 'secret', 'generic', own('plain'), '--from-literal=word=hunter2', '--from-literal=user=me');
    await run('create', 'secret', 'tls', own('tls'), `--cert=${cert}`, `--key=${key}`);
    await run('create', 'secret', 'docker-registry', own('registry'), '--docker-server=example.com', '--docker-username=me', '--docker-password=hunter2', '--docker-email=me@example.com');
    const { stdout } = await run('get', 'secrets');
    expect(stdout).toMatch(new RegExp(`${own('plain')} +Opaque +2 `));
    expect(stdout).toMatch(new RegExp(`${own('tls')} +kubernetes.io/tls +2 `));
    expect(stdout).toMatch(new RegExp(`${own('registry')} +kubernetes.io/dockerconfigjson +1 `));
    const told = await run('describe', 'secret', own('plain'));
    expect(told.stdout).toMatch(/Type: +Opaque/);
    expect(told.stdout).toMatch(/word: +7 bytes/);
    expect(told.stdout).not.toContain('hunter2');
    expect((await run('get', 'secret', own('plain'), '-o', 'jsonpath={.data.word}')).stdout).toBe(Buffer.from('hunter2').toString('base64'));
    const refused = await cluster.kubectl(['create', 'secret', 'generic', own('half'), '--type=kubernetes.io/tls', '--from-literal=tls.crt=x'], { program: path });
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('data[tls.key]: Required value')]);
  });

  story('creates config maps of text and bytes, which stay as they are when told to', async (cluster) => {
    const run = runner(cluster);
    const file = cluster.path('some.bin');
    await writeFile(file, Buffer.from([0, 255, 254, 10]));
    await run('create', 'configmap', own('settings'), '--from-literal=colour=blue', `--from-file=${file}`);
    const told = (await run('describe', 'configmap', own('settings'))).stdout;
    expect(told).toMatch(/colour:\n-+\nblue/);
    // The oldest shows text only.
    if (title !== 'Debian') expect(told).toMatch(/some.bin: 4 bytes/);
    await run('patch', 'configmap', own('settings'), '--type=merge', '-p', '{"immutable":true}');
    const refused = await cluster.kubectl(['patch', 'configmap', own('settings'), '--type=merge', '-p', '{"data":{"colour":"red"}}'], { program: path });
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('field is immutable when `immutable` is set')]);
  });

  story('creates a namespace, shows it, and deletes it with what is in it', async (cluster) => {
    const run = runner(cluster);
    await run('create', 'namespace', own('team'));
    await run('create', 'configmap', 'a', '-n', own('team'), '--from-literal=b=c');
    const told = (await run('describe', 'namespace', own('team'))).stdout;
    expect(told).toMatch(/Status: +Active/);
    expect((await run('get', 'namespace', own('team'), '-o', 'jsonpath={.spec.finalizers}')).stdout).toMatch(/kubernetes/);
    await run('delete', 'namespace', own('team'));
    const gone = await cluster.kubectl(['get', 'namespace', own('team')], { program: path });
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining('not found')]);
  });

  story('shows what happened to a task, in both groups of events', async (cluster) => {
    const run = runner(cluster);
    const name = own('eventful');
    await cluster.create(scriptTask(name, 'true'));
    await cluster.finished(name);
    await cluster.eventually('the event of its start', async () => (await run('get', 'events', `--field-selector=involvedObject.name=${name},reason=Started`)).stdout.includes('Started') || undefined);
    const table = (await run('get', 'events', '-o', 'wide', `--field-selector=involvedObject.name=${name}`)).stdout;
    expect(table).toMatch(/LAST SEEN +TYPE +REASON +OBJECT +SUBOBJECT +SOURCE +MESSAGE +FIRST SEEN +COUNT +NAME/);
    expect((await run('get', 'events.events.k8s.io', `--field-selector=regarding.name=${name},reason=Started`)).stdout).toContain('Started');
    // The oldest has no such verb.
    if (title === 'Debian') return;
    expect((await run('events', `--for=task/${name}`)).stdout).toMatch(/LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n.*Started/s);
  });

  story('tells events that newer recorders have written', async (cluster) => {
    const run = runner(cluster);
    const name = own('recorded');
    const event: EventV1 = {
      apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name, namespace: 'default' },
      eventTime: new Date(cluster.clock.now()).toISOString(), reportingController: 'example.com/widgets', reportingInstance: 'widgets-0', action: 'Make', reason: 'Made',
      regarding: { kind: 'Widget', name, namespace: 'default' }, note: 'made a widget', type: 'Normal',
    };
    await cluster.client.create(eventV1Kind, event);
    await cluster.client.mergePatch(eventV1Kind, name, 'default', { series: { count: 3, lastObservedTime: event.eventTime } });
    const wide = (await run('get', 'events', '-o', 'wide', `--field-selector=involvedObject.name=${name}`)).stdout;
    expect(wide).toMatch(/Made +widget\/\S+ +example.com\/widgets, widgets-0 +made a widget +\S+ +3 /);
    expect((await run('describe', 'event', name)).stdout).toMatch(/Message: +made a widget/);
  });

  story('shows who holds a lease', async (cluster) => {
    const run = runner(cluster);
    const name = own('lock');
    const renewTime = '2026-01-01T00:00:00.123456Z';
    await cluster.client.create(leaseKind, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace: 'default' }, spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime } } as Lease);
    expect((await run('get', 'lease', name)).stdout).toMatch(/NAME +HOLDER +AGE\n\S+ +me /);
    expect((await run('get', 'lease', name, '-o', 'jsonpath={.spec.renewTime}')).stdout).toBe(renewTime);
  });
});
