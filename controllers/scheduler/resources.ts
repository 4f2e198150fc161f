// resources.ts: amounts by small integer ids, in integer thousandths, so that the hot loops compare numbers in arrays.

import { parseMilli } from '../../api/quantity.js';
import type { TaskSpec } from '../../api/task.js';

export const cpuId = 0;
export const memoryId = 1;
/** How many tasks a node may hold at once; each task takes one, without asking for it. */
export const tasksId = 2;

/** What a task without a request counts as when nodes are compared, so that such tasks spread. It takes no room. */
export const defaultScored = { cpu: 100, memory: 64 * 2 ** 20 * 1000 } as const;

/** Names of resources to ids and back. Ids are dense, from 0, and never change. */
export class ResourceTable {
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];

  constructor() {
    for (const name of ['cpu', 'memory', 'tasks']) this.idOf(name);
  }

  idOf(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    this.#ids.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }

  nameOf(id: number): string {
    return this.#names[id]!;
  }
}

/** What one task takes of a node. Immutable and shared between tasks that ask for the same. */
export interface ResourceRequest {
  /** Ids of the resources that are asked for, ascending; `tasksId` is always among them. */
  readonly ids: readonly number[];
  /** Thousandths of each, all above 0. */
  readonly amounts: readonly number[];
  /** Thousandths of a core and of a byte that the task counts as when nodes are compared. */
  readonly scoredCpu: number;
  readonly scoredMemory: number;
}

export function requestOf(spec: TaskSpec, table: ResourceTable): ResourceRequest {
  const byId = new Map<number, number>([[tasksId, 1000]]);
  for (const [name, quantity] of Object.entries(spec.resources?.requests ?? {})) {
    const milli = parseMilli(quantity) ?? 0;
    const id = table.idOf(name);
    if (milli > 0) byId.set(id, id === tasksId ? Math.max(1000, milli) : milli);
  }
  const ids = [...byId.keys()].toSorted((a, b) => a - b);
  return {
    ids,
    amounts: ids.map((id) => byId.get(id)!),
    scoredCpu: byId.get(cpuId) ?? defaultScored.cpu,
    scoredMemory: byId.get(memoryId) ?? defaultScored.memory,
  };
}
