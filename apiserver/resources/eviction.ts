// eviction.ts
//
// Takes a task off its node, for whoever asks by its Pod or by its own name. The request is noted in the status (api/task-status.ts); the agent
// carries it out and the scheduler finds another node once the agent has said that nothing runs here any more.

import type { KindDefinition } from '../../api/kind.js';
import { podKind as podDefinition, podOf, podUid } from '../../api/pod.js';
import { evicted } from '../../api/task-status.js';
import { taskKind as taskDefinition, type Task } from '../../api/task.js';
import type { Clock } from '../../lib/clock.js';
import { refuseUnmet } from './delete.js';
import type { Mutator } from './mutator.js';
import { objectStoreKey } from './registry-keys.js';
import { RenderedObject } from './rendering.js';
import type { DeleteOptions, ObjectTarget, Rendered } from './service.js';

const podKind = podDefinition as unknown as KindDefinition;
const taskKind = taskDefinition as unknown as KindDefinition;

/** Why, in the words of Kubernetes' condition DisruptionTarget. */
export const evictionByApi = { reason: 'EvictionByEvictionAPI', message: 'taken off its node on request' } as const;

export interface Evicted {
  /** The Pod as it is now; with dryRun, as it would be. */
  readonly pod: Rendered;
  /** The uid of the Pod that was asked to go. */
  readonly uid: string;
  /** It goes when its process has ended; else it was gone at once. */
  readonly going: boolean;
}

export class Evictor {
  constructor(private readonly options: { mutator: Mutator; clock: Clock }) {}

  /**
   * @param target a Pod or a task: preconditions are those of its kind
   * @throws ApiError NotFound, Conflict when a precondition does not hold
   */
  async evict(target: ObjectTarget, options: DeleteOptions): Promise<Evicted> {
    const { kind, name, namespace } = target;
    const now = this.options.clock.now();
    const { gracePeriodSeconds, dryRun } = options;
    let uid = '';
    const { rendered } = await this.options.mutator.mutate(
      { kind, name, key: objectStoreKey(taskKind, name, namespace) },
      (stored) => {
        const task = stored as Task;
        uid = podUid(task);
        refuseUnmet(target, kind === podKind ? { ...task.metadata, uid } : task.metadata, options);
        const status = evicted(task, { ...evictionByApi, ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }) }, now);
        return status ? { do: 'write', object: { ...task, status } } : { do: 'nothing' };
      },
      dryRun ? { dryRun } : {},
    );
    const task = rendered.object as Task;
    return { pod: new RenderedObject(podOf(task)), uid, going: Boolean(task.status?.nodeName) && podUid(task) === uid };
  }
}
