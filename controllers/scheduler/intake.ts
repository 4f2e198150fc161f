// intake.ts
//
// What the informers saw, on its way to the core: keys, not objects. Whenever a key's turn comes, the core is told what
// the informer holds then, so that a burst of changes of one object counts once and an old view never follows a newer.

import { objectKey } from '../../api/meta.js';
import type { Node } from '../../api/node.js';
import type { Task } from '../../api/task.js';
import type { Informer } from '../../client/informer.js';
import type { SchedulerCore } from './core.js';

/** Changes between two looks at the clock. */
const stride = 64;

export class Intake {
  readonly #tasks: Pick<Informer<Task>, 'get' | 'values' | 'onChanges'>;
  readonly #nodes: Pick<Informer<Node>, 'get' | 'values' | 'onChanges'>;
  #changed: () => void;
  readonly #taskKeys = new Set<string>();
  readonly #nodeKeys = new Set<string>();
  /** What was there when it opened, until all of it has been told. */
  #firstNodes: Iterator<Node> | undefined;
  #firstTasks: Iterator<Task> | undefined;
  #isOpen = false;

  constructor(options: { tasks: Pick<Informer<Task>, 'get' | 'values' | 'onChanges'>; nodes: Pick<Informer<Node>, 'get' | 'values' | 'onChanges'>; changed(): void }) {
    this.#tasks = options.tasks;
    this.#nodes = options.nodes;
    this.#changed = options.changed;
  }

  /** From now on, what is in the informers and what changes in them is told. */
  open(): void {
    this.#isOpen = true;
    this.#firstNodes = this.#nodes.values();
    this.#firstTasks = this.#tasks.values();
    this.#nodes.onChanges((changes) => {
      if (!this.#isOpen) return;
      for (const { object, key = objectKey(object) } of changes) this.#nodeKeys.add(key);
      this.#changed();
    });
    this.#tasks.onChanges((changes) => {
      if (!this.#isOpen) return;
      for (const { object, key = objectKey(object) } of changes) this.#taskKeys.add(key);
      this.#changed();
    });
  }

  close(): void {
    this.#isOpen = false;
    // Informers keep their handlers, and with them whatever those hold on to.
    this.#changed = () => {};
    this.#taskKeys.clear();
    this.#nodeKeys.clear();
    this.#firstNodes = undefined;
    this.#firstTasks = undefined;
  }

  /** Whether everything that was there at the start has been told. */
  get isComplete(): boolean {
    return this.#isOpen && !this.#firstNodes && !this.#firstTasks;
  }

  get isEmpty(): boolean {
    return !this.#firstNodes && !this.#firstTasks && this.#nodeKeys.size === 0 && this.#taskKeys.size === 0;
  }

  /**
   * Tells the core, nodes first.
   * @param max fewer than so many objects
   * @param isLate whether to stop early
   */
  apply(core: SchedulerCore, max: number, isLate: () => boolean): void {
    let left = max;
    const goesOn = (): boolean => {
      if (left <= 0) return false;
      left = left % stride === 0 && isLate() ? 0 : left - 1;
      return left > 0;
    };
    for (; this.#firstNodes && goesOn(); ) {
      const next = this.#firstNodes.next();
      if (next.done) this.#firstNodes = undefined;
      else this.#tellNode(core, objectKey(next.value));
    }
    for (const key of this.#nodeKeys) {
      if (!goesOn()) return;
      this.#nodeKeys.delete(key);
      this.#tellNode(core, key);
    }
    for (; this.#firstTasks && goesOn(); ) {
      const next = this.#firstTasks.next();
      if (next.done) this.#firstTasks = undefined;
      else this.#tellTask(core, objectKey(next.value));
    }
    for (const key of this.#taskKeys) {
      if (!goesOn()) return;
      this.#taskKeys.delete(key);
      this.#tellTask(core, key);
    }
  }

  #tellNode(core: SchedulerCore, key: string): void {
    const node = this.#nodes.get(key);
    if (node) core.setNode(node);
    else core.removeNode(key);
  }

  #tellTask(core: SchedulerCore, key: string): void {
    const task = this.#tasks.get(key);
    if (task) core.setTask(task, key);
    else core.removeTask(key);
  }
}
