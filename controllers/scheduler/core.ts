// core.ts
//
// The scheduler's mind, without hands: it is told what the world looks like and says which task goes to which node. No
// time, no network; chance only breaks ties. Same changes in the same order and same seed: same decisions.
//
// What it believes of one task (no entry for tasks that are finished or gone):
//
//              next()              seen bound
//   waiting ──────────► assumed ─────────────────► bound
//      ▲                   │ drop(): refused          │
//      │   told again      ▼                          │
//      ├──────────────── unclear                      │
//      └────────────── seen pending again (node lost) ┘
//
// `assumed`, `unclear` and `bound` hold room on a node: a refusal may mean that an earlier request, whose answer was lost,
// has bound the task there. A change that was under way when we assumed looks like an old pending task;
// `status.bindings` tells it from one that was bound and lost since.

import type { Node } from '../../api/node.js';
import { objectKey, parseTimestamp } from '../../api/meta.js';
import { isFinished, type Task } from '../../api/task.js';
import type { Random } from '../../lib/random.js';
import { Demands } from './demands.js';
import { nodeInfoOf } from './filter.js';
import { PendingQueue, type Group, type Waiting } from './pending-queue.js';
import { Picker, type Demand, type PickerLimits } from './pick.js';
import { Snapshot } from './snapshot.js';

/** One task as the core sees it. */
export interface Entry extends Waiting {
  readonly key: string;
  readonly uid: string;
  /** As last seen. */
  task: Task;
  demand: Demand;
  priority: number;
  createdAt: number;
  state: 'waiting' | 'assumed' | 'bound' | 'unclear';
  /** Where it holds room, while assumed, unclear or bound. */
  nodeName: string;
  /** Slot of that node. */
  slot: number;
  /** Span in which the room was taken, see Snapshot.hold. */
  span: number;
  /** Refusals of the server in a row. */
  refusals: number;
  /** The newest message that the server was asked to keep about why it waits. */
  told: string | undefined;
}

/** Measured use of a node, in thousandths. */
export interface MeasuredLoad {
  name: string;
  cpu: number;
  memory: number;
}

export class SchedulerCore {
  readonly snapshot: Snapshot;
  readonly queue: PendingQueue<Entry>;
  readonly #picker: Picker;
  readonly #demands: Demands;
  readonly #entries = new Map<string, Entry>();
  #measured = new Set<string>();
  #lastTime: { text: string | null | undefined; ms: number } = { text: undefined, ms: 0 };

  /** @param options.random breaks ties between equally loaded nodes */
  constructor(options: { random: Random; limits?: PickerLimits }) {
    this.snapshot = new Snapshot({ random: options.random });
    this.queue = new PendingQueue({ snapshot: this.snapshot });
    this.#demands = new Demands(this.snapshot.resources);
    this.#picker = new Picker({ snapshot: this.snapshot, ...(options.limits ? { limits: options.limits } : {}) });
  }

  entry(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Tasks that wait, hold room or are unclear. */
  get entryCount(): number {
    return this.#entries.size;
  }

  setNode(node: Node): void {
    this.snapshot.setNode(nodeInfoOf(node));
  }

  removeNode(name: string): void {
    this.snapshot.removeNode(name);
  }

  /** A task as it is now. */
  setTask(task: Task, key: string = objectKey(task)): void {
    let entry = this.#entries.get(key);
    if (entry && entry.uid !== task.metadata.uid) {
      this.#forget(entry);
      entry = undefined;
    }
    if (isFinished(task)) {
      if (entry) this.#forget(entry);
      return;
    }
    const nodeName = task.status?.nodeName;
    if (nodeName) this.#setBound(key, task, entry, nodeName);
    else if (isPending(task)) this.#setPending(key, task, entry);
    else if (entry) this.#forget(entry);
  }

  removeTask(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) this.#forget(entry);
  }

  /** All measured loads that are known and fresh; nodes not named count as not measured. */
  setLoads(loads: readonly MeasuredLoad[]): void {
    const named = new Set<string>();
    for (const { name, cpu, memory } of loads) {
      named.add(name);
      this.snapshot.setMeasured(name, cpu, memory);
    }
    for (const name of this.#measured) if (!named.has(name)) this.snapshot.setMeasured(name, 0, 0);
    this.#measured = named;
  }

  /**
   * The next task in policy order that fits somewhere, now assumed to be on `nodeName`; undefined when no more does.
   * @param looksMax gives up after so many groups that fit nowhere, to be called again; `queue.isReady` tells
   * @param parked is called with each group that was found to fit nowhere
   */
  next(looksMax = Infinity, parked?: (group: Group<Entry>) => void): Entry | undefined {
    for (let looks = 0; looks < looksMax; looks++) {
      const group = this.queue.next;
      if (!group) return undefined;
      const slot = this.#picker.pick(group.demand);
      if (slot >= 0) {
        const entry = group.tasks.first!;
        this.queue.remove(entry, entry.demand);
        entry.state = 'assumed';
        this.#hold(entry, this.snapshot.nameAt(slot), slot, true);
        return entry;
      }
      this.queue.park(group);
      parked?.(group);
    }
    return undefined;
  }

  /** Whether this very entry still waits for its binding to be seen. */
  isAssumed(entry: Entry): boolean {
    return entry.state === 'assumed' && this.#entries.get(entry.key) === entry;
  }

  isUnclear(entry: Entry): boolean {
    return entry.state === 'unclear' && this.#entries.get(entry.key) === entry;
  }

  /** The binding was refused. What the task is now must be read again, and told by `settle`; its room is kept until then. */
  drop(entry: Entry): void {
    if (!this.isAssumed(entry)) return;
    entry.state = 'unclear';
    entry.refusals++;
  }

  /** The binding surely never reached the server: the task waits again. */
  requeue(entry: Entry): void {
    if (!this.isAssumed(entry)) return;
    this.#release(entry);
    this.#wait(entry);
  }

  /** What an unclear task was found to be; undefined when it is gone. */
  settle(entry: Entry, task: Task | undefined): void {
    if (!this.isUnclear(entry)) return;
    if (!task || task.metadata.uid !== entry.uid) return this.#forget(entry);
    if (isPending(task) && !task.status?.nodeName) this.#waitAs(entry, task);
    else this.setTask(task);
  }

  #setBound(key: string, task: Task, entry: Entry | undefined, nodeName: string): void {
    if (!entry) {
      const bound = this.#newEntry(key, task, 'bound');
      this.#entries.set(key, bound);
      return this.#hold(bound, nodeName, this.snapshot.slotFor(nodeName), false);
    }
    const sameSpec = entry.task.metadata.generation === task.metadata.generation;
    entry.task = task;
    entry.refusals = 0;
    if (sameSpec && entry.nodeName === nodeName) {
      entry.state = 'bound';
      return;
    }
    if (entry.state === 'waiting') this.queue.remove(entry, entry.demand);
    this.#release(entry);
    if (!sameSpec) entry.demand = this.#demands.of(task.spec);
    entry.state = 'bound';
    this.#hold(entry, nodeName, this.snapshot.slotFor(nodeName), false);
  }

  #setPending(key: string, task: Task, entry: Entry | undefined): void {
    if (!entry) {
      const waiting = this.#newEntry(key, task, 'waiting');
      this.#entries.set(key, waiting);
      this.queue.add(waiting, waiting.demand);
      return;
    }
    const seen = task.status?.bindings ?? 0;
    const known = entry.task.status?.bindings ?? 0;
    const lostSince = seen > known;
    switch (entry.state) {
      case 'waiting':
        if (entry.task.metadata.generation === task.metadata.generation) {
          entry.task = task;
          return;
        }
        this.queue.remove(entry, entry.demand);
        return this.#waitAs(entry, task);
      case 'assumed':
        if (!lostSince) return;
        return this.#waitAs(entry, task);
      case 'bound':
        // Fewer bindings than we have seen: an old view of the task.
        if (seen < known) return;
        return this.#waitAs(entry, task);
      case 'unclear':
        // What was refused may have been refused because of a change later than this one.
        if (lostSince) this.#waitAs(entry, task);
    }
  }

  #newEntry(key: string, task: Task, state: Entry['state']): Entry {
    return {
      key,
      uid: task.metadata.uid ?? '',
      task,
      demand: this.#demands.of(task.spec),
      priority: task.spec.priority ?? 0,
      createdAt: this.#createdAt(task),
      state,
      nodeName: '',
      slot: -1,
      span: -1,
      refusals: 0,
      told: toldBefore(task),
      heapIndex: -1,
    };
  }

  /** Tasks come by the thousand in one second. */
  #createdAt({ metadata: { creationTimestamp } }: Task): number {
    if (creationTimestamp !== this.#lastTime.text) this.#lastTime = { text: creationTimestamp, ms: parseTimestamp(creationTimestamp) ?? 0 };
    return this.#lastTime.ms;
  }

  /** Gives back what room it holds, and waits as the task is described now. */
  #waitAs(entry: Entry, task: Task): void {
    this.#release(entry);
    entry.task = task;
    entry.demand = this.#demands.of(task.spec);
    entry.priority = task.spec.priority ?? 0;
    entry.told = toldBefore(task);
    this.#wait(entry);
  }

  #wait(entry: Entry): void {
    entry.state = 'waiting';
    this.queue.add(entry, entry.demand);
  }

  #hold(entry: Entry, nodeName: string, slot: number, fresh: boolean): void {
    entry.nodeName = nodeName;
    entry.slot = slot;
    entry.span = this.snapshot.hold(slot, entry.demand.request, fresh);
  }

  #release(entry: Entry): void {
    if (!entry.nodeName) return;
    this.snapshot.release(entry.slot, entry.demand.request, entry.span);
    entry.nodeName = '';
  }

  #forget(entry: Entry): void {
    if (entry.state === 'waiting') this.queue.remove(entry, entry.demand);
    this.#release(entry);
    this.#entries.delete(entry.key);
  }
}

function isPending(task: Task): boolean {
  return (task.status?.phase ?? 'Pending') === 'Pending' && !task.metadata.deletionTimestamp;
}

/** The message that an earlier run of the scheduler left with the task. */
function toldBefore(task: Task): string | undefined {
  const condition = task.status?.conditions?.find((other) => other.type === 'Scheduled');
  return condition?.status === 'False' && condition.reason === 'Unschedulable' ? condition.message : undefined;
}
