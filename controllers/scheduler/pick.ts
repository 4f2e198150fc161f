// pick.ts
//
// The node for a task: the least loaded one that it may run on and fits on. Pure in the snapshot and the demand.
//
// Trees (load-tree.ts) are kept per constraints and per size of task, and made on first use: a tree's order counts in
// one more task of about that size, so a large task prefers a large machine while a small one does not care. Sizes are
// classes of factor 4, which keeps trees few and the order close to exact.

import { allows, type Constraints } from './filter.js';
import { LoadTree, type TypicalSize } from './load-tree.js';
import { defaultScored, type ResourceRequest } from './resources.js';
import type { Snapshot } from './snapshot.js';

/** All that a decision about a task depends on; tasks with equal demands share it. */
export interface Demand {
  readonly key: string;
  readonly constraints: Constraints;
  readonly request: ResourceRequest;
  /** Names the tree that the demand is answered from. */
  readonly treeKey: string;
}

/** What tasks of the same size class typically add, thousandths. */
function typicalSize(request: ResourceRequest): TypicalSize {
  return { cpu: typical(request.scoredCpu, defaultScored.cpu), memory: typical(request.scoredMemory, defaultScored.memory) };
}

/** Classes reach up to `first`, 4 × first, 16 × first …; the middle of a class stands for it. */
function typical(amount: number, first: number): number {
  let end = first;
  while (end < amount && end < Number.MAX_SAFE_INTEGER / 4) end *= 4;
  return end === first ? first : end / 2;
}

export function demandOf(constraints: Constraints, request: ResourceRequest): Demand {
  const { cpu, memory } = typicalSize(request);
  const amounts = request.ids.map((id, i) => `${id}:${request.amounts[i]}`).join(',');
  return { key: `${amounts} ${constraints.key}`, constraints, request, treeKey: `${cpu},${memory} ${constraints.key}` };
}

export interface PickerLimits {
  /** Trees kept; the one that was used longest ago goes first. */
  treesMax: number;
  /** Leaves kept in all trees together, about 20 bytes each. */
  leavesMax: number;
}

export const defaultPickerLimits: PickerLimits = { treesMax: 256, leavesMax: 1_000_000 };

export class Picker {
  readonly #snapshot: Snapshot;
  readonly #limits: PickerLimits;
  /** In order of last use. */
  readonly #trees = new Map<string, LoadTree>();
  #lastKey: string | undefined;
  #lastTree: LoadTree | undefined;

  constructor(options: { snapshot: Snapshot; limits?: PickerLimits }) {
    this.#snapshot = options.snapshot;
    this.#limits = options.limits ?? defaultPickerLimits;
  }

  /** The slot of the node, or -1 when the demand fits nowhere now. */
  pick(demand: Demand): number {
    const { constraints, request } = demand;
    if (constraints.pin !== undefined) return this.#pickPinned(constraints, request);
    return this.#tree(demand).find(request);
  }

  #pickPinned(constraints: Constraints, request: ResourceRequest): number {
    const slot = this.#snapshot.slotOf(constraints.pin!);
    const node = slot === undefined ? undefined : this.#snapshot.nodeAt(slot);
    if (slot === undefined || !node) return -1;
    return allows(constraints, node) && this.#snapshot.fits(slot, request) ? slot : -1;
  }

  #tree(demand: Demand): LoadTree {
    if (this.#lastTree && demand.treeKey === this.#lastKey) return this.#lastTree;
    let tree = this.#trees.get(demand.treeKey);
    if (tree) this.#trees.delete(demand.treeKey);
    else {
      this.#forgetOldest();
      tree = new LoadTree({ snapshot: this.#snapshot, constraints: demand.constraints, typical: typicalSize(demand.request) });
    }
    this.#trees.set(demand.treeKey, tree);
    this.#lastKey = demand.treeKey;
    this.#lastTree = tree;
    return tree;
  }

  #forgetOldest(): void {
    let leaves = 0;
    for (const tree of this.#trees.values()) leaves += tree.leafCount;
    for (const [key, tree] of this.#trees) {
      if (this.#trees.size < this.#limits.treesMax && leaves < this.#limits.leavesMax) return;
      this.#trees.delete(key);
      leaves -= tree.leafCount;
    }
  }
}
