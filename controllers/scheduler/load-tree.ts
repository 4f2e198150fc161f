// load-tree.ts
//
// Finds the least loaded node that a task fits on, without looking at all of them.
//
//   top      [ least load and most free, per 16 blocks ]
//   …
//   level 0  [ least load and most free, per block of 16 leaves ]
//   leaves   nodes that have the labels asked for: load with one more task of this size
//
// A search goes down by least load first, and never into a part whose most free cannot hold the task or whose least
// load is no better than what was found: usually one path, four steps deep at 20,000 nodes.
//
// What a part says may be too good (a node has filled up since), never too bad: what made a node more attractive is
// read from the snapshot's log before each search, and what filled up is seen, and put right, when a search comes by.
// Therefore the first node found that nothing can beat is the best one.

import { allows, type Constraints } from './filter.js';
import type { ResourceRequest } from './resources.js';
import { penaltyOf } from './score.js';
import type { Snapshot } from './snapshot.js';

const fanBits = 4;
const fan = 1 << fanBits;
/** Loads that differ by less count as equal, and the node's tie decides. */
const equalLoad = 1e-6;

interface Level {
  least: Float64Array;
  /** By resource id, as the snapshot's columns. */
  mostFree: (Float64Array | undefined)[];
}

/** The size of task that the tree's order is meant for, see pick.ts. */
export interface TypicalSize {
  readonly cpu: number;
  readonly memory: number;
}

export class LoadTree {
  readonly #snapshot: Snapshot;
  readonly #constraints: Constraints;
  readonly #typical: TypicalSize;
  /** Leaf to slot, ascending. */
  #slots: Int32Array = new Int32Array(0);
  #keys = new Float64Array(0);
  /** Infinity on a leaf that may not take the task, whatever room it has. */
  #penalties = new Float64Array(0);
  #seen = new Int32Array(0);
  #levels: Level[] = [];
  #columnIds: number[] = [];
  #columnsVersion = -1;
  #position = -1;
  // The search under way.
  #request: ResourceRequest | undefined;
  #best = Infinity;
  #bestLeaf = -1;

  constructor(options: { snapshot: Snapshot; constraints: Constraints; typical: TypicalSize }) {
    this.#snapshot = options.snapshot;
    this.#constraints = options.constraints;
    this.#typical = options.typical;
  }

  /** How many nodes it keeps in order. */
  get leafCount(): number {
    return this.#slots.length;
  }

  /** The slot of the least loaded node that may take the task and has room for it, or -1. */
  find(request: ResourceRequest): number {
    this.#catchUp();
    if (this.#levels.length === 0) return -1;
    this.#request = request;
    this.#best = Infinity;
    this.#bestLeaf = -1;
    this.#visit(this.#levels.length, 0);
    return this.#bestLeaf < 0 ? -1 : this.#slots[this.#bestLeaf]!;
  }

  /** Looks at the children of one part: entries of the level below, or leaves. */
  #visit(level: number, part: number): void {
    if (level === 0) return this.#visitLeaves(part);
    const { least, mostFree } = this.#levels[level - 1]!;
    const first = part << fanBits;
    const end = Math.min(first + fan, least.length);
    let visited = 0;
    for (;;) {
      let next = -1;
      let nextLeast = this.#best;
      for (let child = first; child < end; child++) {
        if (least[child]! < nextLeast && !(visited & (1 << (child - first)))) {
          next = child;
          nextLeast = least[child]!;
        }
      }
      if (next < 0) return;
      visited |= 1 << (next - first);
      if (this.#mayFit(mostFree, next)) this.#visit(level - 1, next);
      // No other child is better than this one promised to be.
      if (this.#best <= nextLeast) return;
    }
  }

  #mayFit(mostFree: readonly (Float64Array | undefined)[], part: number): boolean {
    const { ids, amounts } = this.#request!;
    for (let i = 0; i < ids.length; i++) {
      const column = mostFree[ids[i]!];
      if (!column || column[part]! < amounts[i]!) return false;
    }
    return true;
  }

  #visitLeaves(block: number): void {
    const { versions } = this.#snapshot;
    const first = block << fanBits;
    const end = Math.min(first + fan, this.#slots.length);
    let stale = false;
    for (let leaf = first; leaf < end; leaf++) {
      const slot = this.#slots[leaf]!;
      if (this.#seen[leaf] !== versions[slot]) {
        this.#setKey(leaf, slot);
        stale = true;
      }
      if (this.#keys[leaf]! < this.#best && this.#snapshot.fits(slot, this.#request!)) {
        this.#best = this.#keys[leaf]!;
        this.#bestLeaf = leaf;
      }
    }
    if (stale) this.#summarize(block);
  }

  #setKey(leaf: number, slot: number): void {
    const penalty = this.#penalties[leaf]!;
    this.#seen[leaf] = this.#snapshot.versions[slot]!;
    this.#keys[leaf] = penalty === Infinity ? Infinity : this.#snapshot.loadAt(slot, this.#typical.cpu, this.#typical.memory) + penalty + this.#snapshot.tieAt(slot) * equalLoad;
  }

  #setPenalty(leaf: number, slot: number): void {
    const node = this.#snapshot.nodeAt(slot);
    this.#penalties[leaf] = node && allows(this.#constraints, node) ? penaltyOf(this.#constraints, node) : Infinity;
  }

  /** Makes what a block says, and what the parts above it say, true again. */
  #summarize(block: number): void {
    if (!this.#summarizeBlock(block)) return;
    let part = block;
    for (let level = 1; level < this.#levels.length; level++) {
      part >>= fanBits;
      if (!this.#summarizePart(level, part)) return;
    }
  }

  /** Returns whether anything changed. */
  #summarizeBlock(block: number): boolean {
    const { least, mostFree } = this.#levels[0]!;
    const first = block << fanBits;
    const end = Math.min(first + fan, this.#slots.length);
    let min = Infinity;
    for (let leaf = first; leaf < end; leaf++) if (this.#keys[leaf]! < min) min = this.#keys[leaf]!;
    let changed = least[block] !== min;
    least[block] = min;
    for (const id of this.#columnIds) {
      const free = this.#snapshot.freeColumn(id)!;
      let most = -Infinity;
      for (let leaf = first; leaf < end; leaf++) {
        const amount = free[this.#slots[leaf]!]!;
        if (amount > most && this.#penalties[leaf] !== Infinity) most = amount;
      }
      const column = mostFree[id]!;
      if (column[block] !== most) changed = true;
      column[block] = most;
    }
    return changed;
  }

  #summarizePart(level: number, part: number): boolean {
    const below = this.#levels[level - 1]!;
    const { least, mostFree } = this.#levels[level]!;
    const first = part << fanBits;
    const end = Math.min(first + fan, below.least.length);
    let min = Infinity;
    for (let child = first; child < end; child++) if (below.least[child]! < min) min = below.least[child]!;
    let changed = least[part] !== min;
    least[part] = min;
    for (const id of this.#columnIds) {
      const from = below.mostFree[id]!;
      let most = -Infinity;
      for (let child = first; child < end; child++) if (from[child]! > most) most = from[child]!;
      const column = mostFree[id]!;
      if (column[part] !== most) changed = true;
      column[part] = most;
    }
    return changed;
  }

  #catchUp(): void {
    const { touched } = this.#snapshot;
    if (this.#position === touched.end && this.#columnsVersion === this.#snapshot.columnsVersion) return;
    const behind = this.#columnsVersion === this.#snapshot.columnsVersion && this.#position >= 0 ? touched.behind(this.#position) : undefined;
    if (behind === undefined || behind > Math.max(fan, this.#slots.length >> 1)) return this.#build();
    for (; this.#position < touched.end; this.#position++) {
      const slot = touched.at(this.#position);
      const leaf = this.#leafOf(slot);
      if (leaf >= 0) {
        this.#setPenalty(leaf, slot);
        this.#setKey(leaf, slot);
        this.#summarize(leaf >> fanBits);
      } else if (this.#belongs(slot)) return this.#build();
    }
  }

  #belongs(slot: number): boolean {
    const node = this.#snapshot.nodeAt(slot);
    return node !== undefined && this.#constraints.selector.every(([key, value]) => node.labels[key] === value);
  }

  #leafOf(slot: number): number {
    const slots = this.#slots;
    let low = 0;
    let high = slots.length - 1;
    // Where every slot is a leaf, as without a selector, the leaf is at its slot's own place.
    if (slots[slot] === slot) return slot;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = slots[middle]!;
      if (found === slot) return middle;
      if (found < slot) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  #build(): void {
    const snapshot = this.#snapshot;
    this.#position = snapshot.touched.end;
    this.#columnsVersion = snapshot.columnsVersion;
    this.#slots = this.#members();
    const count = this.#slots.length;
    this.#keys = new Float64Array(count);
    this.#penalties = new Float64Array(count);
    this.#seen = new Int32Array(count);
    for (let leaf = 0; leaf < count; leaf++) {
      this.#setPenalty(leaf, this.#slots[leaf]!);
      this.#setKey(leaf, this.#slots[leaf]!);
    }
    this.#columnIds = [];
    for (let id = 0; id < snapshot.columnCount; id++) if (snapshot.freeColumn(id)) this.#columnIds.push(id);
    this.#levels = [];
    for (let size = count; size > 0; ) {
      size = (size + fan - 1) >> fanBits;
      const mostFree: (Float64Array | undefined)[] = [];
      for (let id = 0; id < snapshot.columnCount; id++) mostFree.push(snapshot.freeColumn(id) ? new Float64Array(size) : undefined);
      this.#levels.push({ least: new Float64Array(size), mostFree });
      const level = this.#levels.length - 1;
      for (let part = 0; part < size; part++) {
        if (level === 0) this.#summarizeBlock(part);
        else this.#summarizePart(level, part);
      }
      if (size <= fan) break;
    }
  }

  #members(): Int32Array {
    const snapshot = this.#snapshot;
    const candidates = snapshot.labels.candidates(this.#constraints.selector);
    if (!candidates) return Int32Array.from({ length: snapshot.slotCount }, (_, slot) => slot);
    return Int32Array.from([...candidates].filter((slot) => this.#belongs(slot))).sort();
  }
}
