// main.ts
//
// Composition root of the controllers. The copies of all objects are kept warm by every candidate; the loops that act on
// them run in the leader only, and write through a fence that closes when its leadership can no longer be proven.

import { customResourceDefinitionKind, type CustomResourceDefinition } from '../api/custom-resource-definition.js';
import { eventKind } from '../api/event.js';
import { eventV1Kind } from '../api/event-v1.js';
import type { KindDefinition } from '../api/kind.js';
import { leaseKind, type Lease } from '../api/lease.js';
import type { KubeObject } from '../api/meta.js';
import { namespaceKind } from '../api/namespace.js';
import { nodeKind } from '../api/node.js';
import { taskKind, unsettledSelector } from '../api/task.js';
import type { Transport } from '../api/transport.js';
import { ApiClient } from '../client/api-client.js';
import { EventRecorder } from '../client/event-recorder.js';
import { FencedTransport } from '../client/fenced-transport.js';
import { Informer } from '../client/informer.js';
import { LeaderElection } from '../client/leader-election.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import { runAll, type Service } from '../lib/service.js';
import { caughtUp } from './caught-up.js';
import { DefinitionCleaner } from './custom-resource-definition/controller.js';
import { EventTtl } from './event-ttl/controller.js';
import { withoutWords } from './event-ttl/plan.js';
import { GarbageCollector } from './garbage-collector/controller.js';
import { HealthServer } from './health-server.js';
import { keptTask } from './kept-task.js';
import { DefinedKinds } from './kind-source.js';
import { essentials, MetadataInformers } from './metadata-informers.js';
import { NamespaceCleaner } from './namespace/controller.js';
import { NodeLifecycle } from './node-lifecycle/controller.js';
import { Scheduler } from './scheduler/scheduler.js';
import { TaintEviction } from './taint-eviction/controller.js';
import { TaskDeadline } from './task-deadline/controller.js';
import { TaskTtl } from './task-ttl/controller.js';
import { tasksByNode } from './tasks-by-node.js';

export interface ControllersOptions {
  transport: Transport;
  /** Names this process, such as its host; made unique per run. */
  identity: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** False: act at once, for a cluster whose only controllers these are. */
  leaderElect: boolean;
  leaseDurationMs?: number;
  schedulerOptions?: Partial<ConstructorParameters<typeof Scheduler>[0]>;
  /** Where /livez, /readyz and /metrics are served; nowhere when absent. Only loopback: there is no authentication. */
  health?: { port: number; listening?(port: number): void };
}

export const leaseName = 'taskplane-controllers';

/** Resolves when the signal has aborted and everything has ended. */
export async function runControllers(options: ControllersOptions, signal: AbortSignal): Promise<void> {
  const { transport, clock, random, logger, leaderElect, leaseDurationMs, health } = options;
  const userAgent = 'taskplane-controllers';
  const client = new ApiClient({ transport, userAgent, clock });
  const informers = makeInformers({ client, clock, random, logger });
  const all = Object.values(informers);
  const objects = makeMetadata({ client, clock, random, logger }, informers);
  let leads = (): boolean => true;
  const lead = async (term: AbortSignal): Promise<void> => {
    const fenced = new ApiClient({ transport: new FencedTransport({ transport, mayWrite: () => leads() }), userAgent, clock });
    try {
      await runAll(makeControllers(options, fenced, informers, objects), term);
    } finally {
      for (const informer of all) informer.detachHandlers();
      objects.detachHandlers();
    }
  };
  const services: Service[] = [...all, objects];
  if (leaderElect) {
    const identity = `${options.identity}_${random.suffix(8)}`;
    const election = new LeaderElection({ client, name: leaseName, identity, ...(leaseDurationMs ? { leaseDurationMs } : {}), lead, clock, random, logger });
    leads = () => election.leads;
    services.push(election);
  } else {
    services.push({ name: 'controllers', run: lead });
  }
  if (health) {
    const ready = (): boolean => all.every((informer) => informer.hasSynced) && objects.hasSynced;
    services.push(new HealthServer({ ...health, ready, gauges: () => gauges(informers, leads()), logger }));
  }
  await runAll(services, signal);
}

type Informers = ReturnType<typeof makeInformers>;

/** Nobody here asks who set which field, nor for tasks that nothing more becomes of: history costs nothing. */
function makeInformers(context: { client: ApiClient; clock: Clock; random: Random; logger: Logger }) {
  const common = { ...context, omitManagedFields: true, streamList: true };
  return {
    tasks: new Informer({ ...common, kind: taskKind, fieldSelector: unsettledSelector, keep: keptTask }),
    nodes: new Informer({ ...common, kind: nodeKind }),
    leases: new Informer({ ...common, kind: leaseKind, keep: withoutHolder }),
    namespaces: new Informer({ ...common, kind: namespaceKind }),
    events: new Informer({ ...common, kind: eventKind, keep: withoutWords }),
    definitions: new Informer({ ...common, kind: customResourceDefinitionKind, keep: withoutSchemas }),
  };
}

/** Who owns whom, of every kind. */
function makeMetadata(common: { client: ApiClient; clock: Clock; random: Random; logger: Logger }, { tasks, nodes, leases, namespaces, definitions }: Informers): MetadataInformers {
  const shared = [
    { kind: generic(taskKind), informer: tasks, partial: true },
    { kind: generic(nodeKind), informer: nodes },
    { kind: generic(leaseKind), informer: leases },
    { kind: generic(namespaceKind), informer: namespaces },
    { kind: generic(customResourceDefinitionKind), informer: definitions },
  ] as unknown as { kind: KindDefinition; informer: Informer<KubeObject>; partial?: boolean }[];
  return new MetadataInformers({ ...common, kinds: new DefinedKinds(definitions), shared, ignored: [generic(eventKind), generic(eventV1Kind)] });
}

function makeControllers(options: ControllersOptions, client: ApiClient, informers: Informers, objects: MetadataInformers): Service[] {
  const { clock, random, logger, schedulerOptions } = options;
  const { tasks, nodes, leases, namespaces, events, definitions } = informers;
  const common = { client, clock, random, logger };
  // Before those that read it, so that it is up to date when they are told.
  const byNode = tasksByNode(tasks);
  const recorders = {
    scheduler: new EventRecorder({ client, component: 'scheduler', clock, logger }),
    nodes: new EventRecorder({ client, component: 'node-lifecycle', clock, logger }),
    taints: new EventRecorder({ client, component: 'taint-eviction-controller', clock, logger }),
    tasks: new EventRecorder({ client, component: 'task-controller', clock, logger }),
    garbage: new EventRecorder({ client, component: 'garbage-collector', clock, logger }),
  };
  return [
    ...Object.values(recorders),
    new Scheduler({ ...common, tasks, nodes, recorder: recorders.scheduler, ...(options.leaderElect ? { caughtUp: (signal) => caughtUp({ ...common, informers: [tasks, nodes] }, signal) } : {}), ...schedulerOptions }),
    new NodeLifecycle({ ...common, tasks, tasksByNode: byNode, nodes, leases, recorder: recorders.nodes }),
    new TaintEviction({ ...common, tasks, tasksByNode: byNode, nodes, recorder: recorders.taints }),
    new TaskDeadline({ ...common, tasks, recorder: recorders.tasks }),
    new TaskTtl({ ...common, tasks }),
    new EventTtl({ ...common, events }),
    new GarbageCollector({ ...common, objects, recorder: recorders.garbage }),
    new NamespaceCleaner({ ...common, namespaces, objects }),
    new DefinitionCleaner({ ...common, definitions, objects }),
  ];
}

function gauges(informers: Informers, leading: boolean): Record<string, number> {
  const { tasks, nodes, leases, events } = informers;
  return {
    taskplane_controllers_leading: leading ? 1 : 0,
    taskplane_controllers_known_tasks: tasks.size,
    taskplane_controllers_known_nodes: nodes.size,
    taskplane_controllers_known_leases: leases.size,
    taskplane_controllers_known_events: events.size,
  };
}

/** That there is one is all that anyone here wants of a lease; leader election reads its own. */
function withoutHolder(lease: Lease): Lease {
  return { ...essentials(lease), spec: {} } as Lease;
}

/** Which kinds there are is all that anyone here wants of definitions. */
function withoutSchemas(definition: CustomResourceDefinition): CustomResourceDefinition {
  const versions = definition.spec.versions.map(({ schema: _schema, ...version }) => version);
  return { ...definition, spec: { ...definition.spec, versions } };
}

function generic<T extends KubeObject>(kind: KindDefinition<T>): KindDefinition {
  return kind as unknown as KindDefinition;
}
