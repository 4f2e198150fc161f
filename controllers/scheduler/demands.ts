// demands.ts: tasks that ask for the same share one Demand, made once: a thousand tasks of one job cost one look at their words.

import type { TaskSpec } from '../../api/task.js';
import { constraintsOf } from './filter.js';
import { demandOf, type Demand } from './pick.js';
import { requestOf, type ResourceTable } from './resources.js';

/** More different ones are forgotten, and made again when needed. */
const knownMax = 10_000;

export class Demands {
  readonly #resources: ResourceTable;
  readonly #known = new Map<string, Demand>();

  constructor(resources: ResourceTable) {
    this.#resources = resources;
  }

  of(spec: TaskSpec): Demand {
    const { resources, nodeName, nodeSelector, tolerations } = spec;
    const words = JSON.stringify([resources?.requests, nodeName, nodeSelector, tolerations]);
    let demand = this.#known.get(words);
    if (demand) return demand;
    if (this.#known.size >= knownMax) this.#known.clear();
    demand = demandOf(constraintsOf(spec), requestOf(spec, this.#resources));
    this.#known.set(words, demand);
    return demand;
  }
}
