// pending-queue.ts
//
// Pending tasks in policy order: priority, then age, then key. Tasks with the same demand form a group, and it is groups
// that are ready or parked: when the first task of a group fits nowhere, neither does the next, so the whole group steps
// aside at once, and is tried again when something that could make it fit has changed. Ten thousand tasks that never
// fit cost one decision, not ten thousand.
//
//   add ──► ready ── fits nowhere ──► parked ── a node that it may fit on was touched ──► ready
//
// What could help is found per constraints: a touched node matters to a group if it is allowed there and has room. Parked
// groups stand on shelves of about equal demands, so that a node without room for any of a shelf is done with all of it:
// a change of a node costs the shelves that are, and the groups that may fit, not the backlog.

import { allows, type Constraints } from './filter.js';
import { IndexedHeap, type HeapItem } from './indexed-heap.js';
import type { Demand } from './pick.js';
import type { ResourceRequest } from './resources.js';
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
  /** Tasks that have left it so far: were given a node, or are gone. */
  left = 0;

  constructor(readonly demand: Demand) {}

  get isParked(): boolean {
    return this.heapIndex < 0;
  }
}

/** Parked groups that ask for the same resources, of each within a factor of two. */
interface Shelf<T extends Waiting> {
  readonly groups: Set<Group<T>>;
  readonly ids: readonly number[];
  /** No group here asks for less of any. */
  readonly least: number[];
}

/** Parked groups with the same constraints. */
interface Lot<T extends Waiting> {
  readonly constraints: Constraints;
  readonly shelves: Map<string, Shelf<T>>;
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
    for (const { shelves } of this.#parked.values()) for (const { groups } of shelves.values()) yield* groups;
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
    group.left++;
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
    if (!lot) this.#parked.set(constraints.key, (lot = { constraints, shelves: new Map() }));
    const name = shelfOf(request);
    const shelf = lot.shelves.get(name);
    if (!shelf) return void lot.shelves.set(name, { groups: new Set([group]), ids: request.ids, least: [...request.amounts] });
    shelf.groups.add(group);
    request.amounts.forEach((amount, i) => (shelf.least[i] = Math.min(shelf.least[i]!, amount)));
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
    const snapshot = this.#snapshot;
    const node = snapshot.nodeAt(slot);
    if (!node) return;
    let allowed = false;
    for (const { groups, ids, least } of lot.shelves.values()) {
      if (!ids.every((id, i) => snapshot.freeAt(slot, id) >= least[i]!)) continue;
      if (!(allowed ||= allows(lot.constraints, node))) return;
      for (const group of groups) if (snapshot.fits(slot, group.demand.request)) this.#makeReady(group);
    }
  }

  #makeReady(group: Group<T>): void {
    this.#unpark(group);
    this.#ready.push(group);
  }

  #unpark(group: Group<T>): void {
    const { constraints, request } = group.demand;
    const lot = this.#parked.get(constraints.key);
    const name = shelfOf(request);
    const shelf = lot?.shelves.get(name);
    if (!lot || !shelf) return;
    shelf.groups.delete(group);
    if (shelf.groups.size === 0) lot.shelves.delete(name);
    if (lot.shelves.size === 0) this.#parked.delete(constraints.key);
  }
}

function shelfOf({ ids, amounts }: ResourceRequest): string {
  return ids.map((id, i) => `${id}:${Math.floor(Math.log2(amounts[i]!))}`).join();
}
