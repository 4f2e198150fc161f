// crontab-controller.ts: a third party's controller, as one writes it with client-node: each CronTab has as many Tasks as it wants replicas, and says how many.

import { CustomObjectsApi, makeInformer, PatchStrategy, setHeaderOptions, type KubeConfig, type KubernetesListObject, type KubernetesObject } from '@kubernetes/client-node';
import { sleep, type Clock } from '../../lib/clock.js';
import { scriptTask } from '../cluster.js';

export interface CronTab extends KubernetesObject {
  spec: { cronSpec: string; replicas: number };
  status?: { replicas?: number };
}

const crontabs = { group: 'stable.example.com', version: 'v1', namespace: 'default', plural: 'crontabs' };
const tasks = { group: 'taskplane.dev', version: 'v1', namespace: 'default', plural: 'tasks' };
const againMs = 200;

/** Runs until the signal aborts; what fails is tried again. */
export async function runCrontabController(config: KubeConfig, clock: Clock, signal: AbortSignal): Promise<void> {
  const api = config.makeApiClient(CustomObjectsApi);
  const wanted = new Map<string, CronTab>();
  let work: Promise<void> = Promise.resolve();

  const reconcile = async (name: string): Promise<void> => {
    const tab = wanted.get(name);
    if (!tab) return;
    const { items } = (await api.listNamespacedCustomObject({ ...tasks, labelSelector: `crontab=${name}` })) as KubernetesListObject<KubernetesObject>;
    const present = items.filter(({ metadata }) => !metadata?.deletionTimestamp).map(({ metadata }) => metadata!.name!);
    const names = Array.from({ length: tab.spec.replicas }, (_, index) => `${name}-${index}`);
    for (const missing of names.filter((one) => !present.includes(one))) await api.createNamespacedCustomObject({ ...tasks, body: taskOf(tab, missing) });
    for (const surplus of present.filter((one) => !names.includes(one))) await api.deleteNamespacedCustomObject({ ...tasks, name: surplus });
    if (tab.status?.replicas === tab.spec.replicas) return;
    const status = { replicas: tab.spec.replicas, labelSelector: `crontab=${name}` };
    await api.patchNamespacedCustomObjectStatus({ ...crontabs, name, body: { status } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
  };

  const keepTrying = async (name: string): Promise<void> => {
    while (!signal.aborted) {
      try {
        return await reconcile(name);
      } catch {
        // The API server may be away: the next try tells.
        await sleep(clock, againMs, signal);
      }
    }
  };
  const changed = (tab: CronTab): void => {
    wanted.set(tab.metadata!.name!, tab);
    work = work.then(() => keepTrying(tab.metadata!.name!));
  };

  const list = async (): Promise<KubernetesListObject<CronTab>> => (await api.listNamespacedCustomObject(crontabs)) as KubernetesListObject<CronTab>;
  const informer = makeInformer<CronTab>(config, '/apis/stable.example.com/v1/namespaces/default/crontabs', list);
  informer.on('add', changed);
  informer.on('update', changed);
  informer.on('delete', (tab) => void wanted.delete(tab.metadata!.name!));
  const start = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        return await informer.start();
      } catch {
        await sleep(clock, againMs, signal);
      }
    }
  };
  // client-node's informers stop at an error and leave it to their users to go on.
  informer.on('error', () => void sleep(clock, againMs, signal).then(start));
  await start();
  await new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
  await informer.stop();
  await work;
}

function taskOf(tab: CronTab, name: string): object {
  const { apiVersion, kind, metadata } = tab;
  const task = scriptTask(name, 'sleep 600');
  const owner = { apiVersion, kind, name: metadata!.name, uid: metadata!.uid, controller: true };
  return { ...task, metadata: { ...task.metadata, labels: { crontab: metadata!.name! }, ownerReferences: [owner] } };
}
