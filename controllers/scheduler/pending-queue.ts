// pending-queue.ts
//
// Pending tasks in policy order: priority, then age, then key. Tasks with the same demand form a group, and it is groups
// that are ready or parked: when the first task of a group fits nowhere, neither does the next, so the whole group steps
// aside at once, and is tried again when something that could make it fit has changed. Ten thousand tasks that never
// fit cost one decision, not ten thousand.
//
//   add ──► ready ── fits nowhere ──► parked ── a node that it may fit on was touched ──► ready
//
// What could help is found per constraints: a touched node matters to a group if it is allowed there and has room.

import { allows, type Constraints } from './filter.js';
import { IndexedHeap, type HeapItem } from './indexed-heap.js';
import type { Demand } from './pick.js';
import { cpuId, memoryId, type ResourceRequest } from './resources.js';
import type { Snapshot } from './snapshot.js';

/** What the order looks at. */
export interface Waiting extends HeapItem {
  readonly key: string;
  readonly priority: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export function isBefore(a: Waiting, b: Waiting): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt;
  return a.key < b.key;
}

/** Waiting tasks with one demand. */
export class Group<T extends Waiting> implements HeapItem {
  heapIndex = -1;
  readonly tasks = new IndexedHeap<T>(isBefore);

  constructor(readonly demand: Demand) {}

  get isParked(): boolean {
    return this.heapIndex < 0;
  }
}

/** Parked groups with the same constraints. */
interface Lot<T extends Waiting> {
  readonly constraints: Constraints;
  readonly groups: Set<Group<T>>;
  /** No group here asks for less of cpu or of memory: nodes with less need no further look. */
  leastCpu: number;
  leastMemory: number;
}

export class PendingQueue<T extends Waiting> {
  readonly #snapshot: Snapshot;
  readonly #groups = new Map<string, Group<T>>();
  readonly #ready = new IndexedHeap<Group<T>>((a, b) => isBefore(a.tasks.first!, b.tasks.first!));
  readonly #parked = new Map<string, Lot<T>>();
  #position: number;
  #joined = new Set<Group<T>>();
  size = 0;

  constructor(options: { snapshot: Snapshot }) {
    this.#snapshot = options.snapshot;
    this.#position = this.#snapshot.touched.end;
  }

  /** Whether some group is worth trying. Call `wake` before. */
  get isReady(): boolean {
    return this.#ready.size > 0;
  }

  groupOf(demand: Demand): Group<T> | undefined {
    return this.#groups.get(demand.key);
  }

  /** Groups that got a task while they were parked, since the last call. */
  takeJoined(): ReadonlySet<Group<T>> {
    const joined = this.#joined;
    if (joined.size > 0) this.#joined = new Set();
    return joined;
  }

  /** Groups that fit nowhere, in no particular order. */
  *parked(): IterableIterator<Group<T>> {
    for (const lot of this.#parked.values()) yield* lot.groups;
  }

  add(task: T, demand: Demand): Group<T> {
    let group = this.#groups.get(demand.key);
    if (!group) {
      group = new Group<T>(demand);
      group.tasks.push(task);
      this.#groups.set(demand.key, group);
      this.#ready.push(group);
    } else {
      group.tasks.push(task);
      if (group.isParked) this.#joined.add(group);
      else this.#ready.moved(group);
    }
    this.size++;
    return group;
  }

  remove(task: T, demand: Demand): void {
    const group = this.#groups.get(demand.key);
    if (!group || task.heapIndex < 0) return;
    // The heap of groups compares their first tasks, so a group leaves it before it is empty.
    const wasReady = !group.isParked;
    if (group.tasks.size === 1) {
      if (wasReady) this.#ready.remove(group);
      else this.#unpark(group);
      this.#groups.delete(demand.key);
    }
    group.tasks.remove(task);
    if (wasReady && group.tasks.size > 0) this.#ready.moved(group);
    this.size--;
  }

  /** The group whose first task is next in policy order. */
  get next(): Group<T> | undefined {
    return this.#ready.first;
  }

  /** The group fits nowhere now. */
  park(group: Group<T>): void {
    this.#ready.remove(group);
    const { constraints, request } = group.demand;
    let lot = this.#parked.get(constraints.key);
    if (!lot) this.#parked.set(constraints.key, (lot = { constraints, groups: new Set(), leastCpu: Infinity, leastMemory: Infinity }));
    lot.groups.add(group);
    lot.leastCpu = Math.min(lot.leastCpu, amountOf(request, cpuId));
    lot.leastMemory = Math.min(lot.leastMemory, amountOf(request, memoryId));
  }

  /** Makes ready again what the nodes touched since the last call may have made to fit. */
  wake(): void {
    const { touched } = this.#snapshot;
    const behind = touched.behind(this.#position);
    if (behind === 0) return;
    const from = this.#position;
    this.#position = touched.end;
    if (this.#parked.size === 0) return;
    if (behind === undefined) {
      for (const group of [...this.parked()]) this.#makeReady(group);
      return;
    }
    const slots = new Set<number>();
    for (let position = from; position < touched.end; position++) slots.add(touched.at(position));
    for (const lot of [...this.#parked.values()]) this.#wakeLot(lot, slots);
  }

  #wakeLot(lot: Lot<T>, slots: ReadonlySet<number>): void {
    const { pin } = lot.constraints;
    const pinned = pin === undefined ? undefined : this.#snapshot.slotOf(pin);
    if (pin !== undefined) {
      if (pinned !== undefined && slots.has(pinned)) this.#wakeFor(lot, pinned);
      return;
    }
    for (const slot of slots) this.#wakeFor(lot, slot);
  }

  #wakeFor(lot: Lot<T>, slot: number): void {
    const node = this.#snapshot.nodeAt(slot);
    if (!node || this.#snapshot.freeAt(slot, cpuId) < lot.leastCpu || this.#snapshot.freeAt(slot, memoryId) < lot.leastMemory) return;
    if (!allows(lot.constraints, node)) return;
    for (const group of lot.groups) if (this.#snapshot.fits(slot, group.demand.request)) this.#makeReady(group);
  }

  #makeReady(group: Group<T>): void {
    this.#unpark(group);
    this.#ready.push(group);
  }

  #unpark(group: Group<T>): void {
    const { key } = group.demand.constraints;
    const lot = this.#parked.get(key);
    lot?.groups.delete(group);
    if (lot?.groups.size === 0) this.#parked.delete(key);
  }
}

function amountOf(request: ResourceRequest, id: number): number {
  const index = request.ids.indexOf(id);
  return index < 0 ? -Infinity : request.amounts[index]!;
}
