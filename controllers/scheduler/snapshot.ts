// snapshot.ts
//
// What the scheduler knows of the nodes: one slot per node; one column of numbers per resource, one row of them for what
// a load is made of. Kept up to date by small steps, never copied. `free` is allocatable less everything that bound and
// assumed tasks asked for; an assumption counts at once.
//
// Readers that keep an order of nodes (load-tree.ts) follow by two means:
//   versions   changes with every change of a slot, for better or worse
//   touched    a log of the slots that became more attractive: room freed, load fell, labels or taints changed, node
//              added or removed. A node that only became less attractive is not logged; readers find out by its
//              version when they next look at it, which costs nothing for nodes that nobody looks at.

import type { Random } from '../../lib/random.js';
import type { NodeInfo } from './filter.js';
import { LabelIndex } from './label-index.js';
import { cpuId, memoryId, ResourceTable, tasksId, type ResourceRequest } from './resources.js';
import { loadOf, shareOf } from './score.js';
import { TouchLog } from './touch-log.js';

/** One resource over all slots; 0 where there is no node. */
interface Column {
  free: Float64Array;
  allocatable: Float64Array;
}

/** A measured load that fell by less than this is not worth telling anyone. */
const loadFallMin = 1e-3;

// Facts of a slot. Recent requests are kept for the current span of time and for the one before, taking turns.
const requestedCpu = 0;
const requestedMemory = 1;
const measuredCpu = 2;
const measuredMemory = 3;
const recentCpu = 4;
const recentMemory = 6;
const allocatableCpu = 8;
const allocatableMemory = 9;
const tie = 10;
const factCount = 11;

export class Snapshot {
  readonly resources = new ResourceTable();
  readonly labels = new LabelIndex();
  readonly touched = new TouchLog();
  /** Nodes that are registered. */
  nodeCount = 0;
  /** One past the highest slot in use. */
  slotCount = 0;
  versions: Int32Array = new Int32Array(64);
  /** Grows when a resource gets its column; orders that hold columns are then made anew. */
  columnsVersion = 0;

  readonly #random: Random;
  readonly #slots = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];
  readonly #nodes: (NodeInfo | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  /** Tasks that hold room in the slot, on nodes not registered too. */
  readonly #holders: number[] = [];
  /** By resource id; a resource that no node has ever offered has none. */
  readonly #columns: (Column | undefined)[] = [];
  /** What is held of resources without a column: by id, then slot. Rare: the node once offered it. */
  readonly #orphans = new Map<number, Map<number, number>>();
  /** What a load is made of, side by side per slot: one look at a node touches little memory. */
  #facts: Float64Array = new Float64Array(64 * factCount);
  /** Which of the two spans is the current one, see `nextSpan`. */
  #even = 0;
  #span = 0;

  /** @param options.random breaks ties between equally loaded nodes */
  constructor(options: { random: Random }) {
    this.#random = options.random;
    for (const id of [cpuId, memoryId, tasksId]) this.#addColumn(id);
  }

  nodeAt(slot: number): NodeInfo | undefined {
    return this.#nodes[slot];
  }

  nameAt(slot: number): string {
    return this.#names[slot] ?? '';
  }

  slotOf(name: string): number | undefined {
    return this.#slots.get(name);
  }

  /** The slot of a node, made when there is none; to be followed by `hold`. */
  slotFor(name: string): number {
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    const slot = this.#freeSlots.pop() ?? this.slotCount++;
    if (slot >= this.versions.length) this.#grow();
    this.#slots.set(name, slot);
    this.#names[slot] = name;
    this.#holders[slot] = 0;
    this.#facts[slot * factCount + tie] = this.#random.float();
    return slot;
  }

  /** Registers a node or replaces what is known of it. Returns false when no decision can differ. */
  setNode(info: NodeInfo): boolean {
    const slot = this.slotFor(info.name);
    const old = this.#nodes[slot];
    if (old?.identity === info.identity) return false;
    if (!old) this.nodeCount++;
    this.labels.replace(slot, old?.labels, info.labels);
    this.#nodes[slot] = info;
    for (const name of Object.keys(info.allocatable)) this.#addColumn(this.resources.idOf(name));
    this.#columns.forEach((column, id) => this.#setAllocatable(column, slot, info.allocatable[this.resources.nameOf(id)] ?? (id === tasksId ? Infinity : 0)));
    this.#copyAllocatable(slot);
    this.#touch(slot);
    return true;
  }

  removeNode(name: string): void {
    const slot = this.#slots.get(name);
    const old = slot === undefined ? undefined : this.#nodes[slot];
    if (slot === undefined || !old) return;
    this.nodeCount--;
    this.labels.replace(slot, old.labels, undefined);
    this.#nodes[slot] = undefined;
    for (const column of this.#columns) this.#setAllocatable(column, slot, 0);
    this.#copyAllocatable(slot);
    this.#facts[slot * factCount + measuredCpu] = 0;
    this.#facts[slot * factCount + measuredMemory] = 0;
    this.#touch(slot);
    this.#freeSlotIfUnused(slot);
  }

  /**
   * Takes room on a node, registered or not; its slot stays its own until all room is given back.
   * @param fresh placed just now: nothing that was measured can include it yet
   * @returns what `release` wants back
   */
  hold(slot: number, request: ResourceRequest, fresh: boolean): number {
    this.#holders[slot]!++;
    this.#take(slot, request, 1);
    if (!fresh) return -1;
    this.#facts[slot * factCount + recentCpu + this.#even]! += request.scoredCpu;
    this.#facts[slot * factCount + recentMemory + this.#even]! += request.scoredMemory;
    return this.#span;
  }

  /** @param span what `hold` returned */
  release(slot: number, request: ResourceRequest, span: number): void {
    this.#holders[slot]!--;
    this.#take(slot, request, -1);
    const age = this.#span - span;
    if (span >= 0 && age <= 1) {
      const which = this.#even ^ age;
      this.#facts[slot * factCount + recentCpu + which]! -= request.scoredCpu;
      this.#facts[slot * factCount + recentMemory + which]! -= request.scoredMemory;
    }
    this.#touch(slot);
    this.#freeSlotIfUnused(slot);
  }

  /** Thousandths of a core and of a byte that are in use, by tasks and everything else; 0 when unknown. */
  setMeasured(nodeName: string, cpu: number, memory: number): void {
    const slot = this.#slots.get(nodeName);
    if (slot === undefined || !this.#nodes[slot]) return;
    const facts = this.#facts;
    const at = slot * factCount;
    const oldCpu = facts[at + measuredCpu]!;
    const oldMemory = facts[at + measuredMemory]!;
    const before = this.loadAt(slot, 0, 0);
    facts[at + measuredCpu] = cpu;
    facts[at + measuredMemory] = memory;
    const after = this.loadAt(slot, 0, 0);
    if (after < before - loadFallMin) this.#touch(slot);
    else if (after > before) this.versions[slot]!++;
    else if (after < before) {
      // Kept as it was, or many small falls would add up unseen.
      facts[at + measuredCpu] = oldCpu;
      facts[at + measuredMemory] = oldMemory;
    }
  }

  /** A span of time is over; what was placed two spans ago is taken to be part of the measured load now. */
  nextSpan(): void {
    this.#span++;
    this.#even ^= 1;
    const facts = this.#facts;
    for (let slot = 0; slot < this.slotCount; slot++) {
      const cpu = slot * factCount + recentCpu + this.#even;
      const memory = slot * factCount + recentMemory + this.#even;
      if (facts[cpu] === 0 && facts[memory] === 0) continue;
      facts[cpu] = 0;
      facts[memory] = 0;
      this.#touch(slot);
    }
  }

  /** One past the highest resource id that has a column. */
  get columnCount(): number {
    return this.#columns.length;
  }

  freeColumn(id: number): Float64Array | undefined {
    return this.#columns[id]?.free;
  }

  /** Thousandths that are free; negative when more is held than the node offers now. */
  freeAt(slot: number, id: number): number {
    return this.#columns[id]?.free[slot] ?? 0;
  }

  allocatableAt(slot: number, id: number): number {
    return this.#columns[id]?.allocatable[slot] ?? 0;
  }

  fits(slot: number, request: ResourceRequest): boolean {
    const { ids, amounts } = request;
    for (let i = 0; i < ids.length; i++) {
      const column = this.#columns[ids[i]!];
      if (!column || column.free[slot]! < amounts[i]!) return false;
    }
    return true;
  }

  /** Load of the node with so much more on it (thousandths), see score.ts; 1 is full. */
  loadAt(slot: number, cpu: number, memory: number): number {
    const facts = this.#facts;
    const at = slot * factCount;
    return loadOf(
      shareOf(facts[at + requestedCpu]! + cpu, facts[at + measuredCpu]!, facts[at + recentCpu]! + facts[at + recentCpu + 1]! + cpu, facts[at + allocatableCpu]!),
      shareOf(facts[at + requestedMemory]! + memory, facts[at + measuredMemory]!, facts[at + recentMemory]! + facts[at + recentMemory + 1]! + memory, facts[at + allocatableMemory]!),
    );
  }

  /** In [0, 1): decides between equals. */
  tieAt(slot: number): number {
    return this.#facts[slot * factCount + tie]!;
  }

  #take(slot: number, request: ResourceRequest, sign: 1 | -1): void {
    const { ids, amounts } = request;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      const column = this.#columns[id];
      if (column) column.free[slot]! -= sign * amounts[i]!;
      else this.#takeOrphan(id, slot, sign * amounts[i]!);
    }
    this.#facts[slot * factCount + requestedCpu]! += sign * request.scoredCpu;
    this.#facts[slot * factCount + requestedMemory]! += sign * request.scoredMemory;
    this.versions[slot]!++;
  }

  #takeOrphan(id: number, slot: number, amount: number): void {
    let bySlot = this.#orphans.get(id);
    if (!bySlot) this.#orphans.set(id, (bySlot = new Map()));
    const held = (bySlot.get(slot) ?? 0) + amount;
    if (held === 0) bySlot.delete(slot);
    else bySlot.set(slot, held);
    if (bySlot.size === 0) this.#orphans.delete(id);
  }

  #touch(slot: number): void {
    this.versions[slot]!++;
    this.touched.push(slot, this.slotCount);
  }

  #freeSlotIfUnused(slot: number): void {
    if (this.#nodes[slot] || this.#holders[slot]! > 0) return;
    this.#slots.delete(this.#names[slot]!);
    this.#names[slot] = undefined;
    this.#freeSlots.push(slot);
  }

  #setAllocatable(column: Column | undefined, slot: number, allocatable: number): void {
    if (!column) return;
    // A node that does not say how many tasks it takes has no limit; Infinity - Infinity would be lost arithmetic.
    const amount = allocatable === Infinity ? Number.MAX_SAFE_INTEGER : allocatable;
    column.free[slot]! += amount - column.allocatable[slot]!;
    column.allocatable[slot] = amount;
  }

  #copyAllocatable(slot: number): void {
    this.#facts[slot * factCount + allocatableCpu] = this.allocatableAt(slot, cpuId);
    this.#facts[slot * factCount + allocatableMemory] = this.allocatableAt(slot, memoryId);
  }

  #addColumn(id: number): void {
    if (this.#columns[id]) return;
    const length = this.versions.length;
    const column: Column = { free: new Float64Array(length), allocatable: new Float64Array(length) };
    for (const [slot, held] of this.#orphans.get(id) ?? []) column.free[slot]! -= held;
    this.#orphans.delete(id);
    // Dense: forEach and for-of must reach every id below.
    while (this.#columns.length < id) this.#columns.push(undefined);
    this.#columns[id] = column;
    this.columnsVersion++;
  }

  #grow(): void {
    const length = this.versions.length * 2;
    const grown = (old: Float64Array): Float64Array => {
      const next = new Float64Array(length);
      next.set(old);
      return next;
    };
    const versions = new Int32Array(length);
    versions.set(this.versions);
    this.versions = versions;
    for (const column of this.#columns) {
      if (!column) continue;
      column.free = grown(column.free);
      column.allocatable = grown(column.allocatable);
    }
    const facts = new Float64Array(length * factCount);
    facts.set(this.#facts);
    this.#facts = facts;
  }
}
