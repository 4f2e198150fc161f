// cgroup-v2.ts: attempt groups in a unified hierarchy, with whichever of the memory and cpu controllers it has.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { childGroups, helperGroup, killPid, makeAttemptGroup, makeGroup, readKeyed, readNumber, readPids, removeGroup, removeGroupAside, tryRead, tryWrite, type AttemptGroup, type Cgroups, type GroupSettings } from './cgroup.js';
import type { Usage } from './driver.js';

const controllersWanted = ['memory', 'cpu'] as const;
const cpuPeriodUs = 100_000;

export class CgroupsV2 implements Cgroups {
  readonly kind = 'cgroup-v2';
  readonly problem: string | undefined;
  readonly controllers: ReadonlySet<string>;
  readonly #parent: string;
  readonly #root: string;
  readonly #node: string;

  /** @returns undefined when no parent is writable */
  static at(parents: readonly string[], nodeName: string): CgroupsV2 | undefined {
    for (const parent of parents) {
      const root = join(parent, 'taskplane');
      const node = join(root, nodeName);
      if (makeGroup(root) && makeGroup(node)) return new CgroupsV2(parent, root, node);
    }
    return undefined;
  }

  private constructor(parent: string, root: string, node: string) {
    this.#parent = parent;
    this.#root = root;
    this.#node = node;
    this.#handOnControllers();
    this.controllers = new Set((tryRead(join(node, 'cgroup.subtree_control')) ?? '').trim().split(/\s+/).filter(Boolean));
    const missing = controllersWanted.filter((controller) => !this.controllers.has(controller));
    this.problem = missing.length > 0 ? `limits of ${missing.join(' and ')} are not enforced: ${parent} does not hand on the ${missing.join(' and ')} controller` : undefined;
  }

  #handOnControllers(): void {
    enableControllers(this.#parent);
    for (const group of [this.#root, this.#node]) for (const controller of controllersWanted) tryWrite(join(group, 'cgroup.subtree_control'), `+${controller}`);
  }

  /** Whether the kernel counts here what a group uses of the cpu, which needs no controller. */
  get countsCpu(): boolean {
    return cpuSecondsOf(this.#node) !== undefined;
  }

  async create(key: string, { limits, requests }: GroupSettings): Promise<GroupV2> {
    const group = new GroupV2(`${this.#node}/${key}`);
    await makeAttemptGroup(group.path, () => {
      if (makeGroup(this.#node)) this.#handOnControllers();
    });
    if (this.controllers.has('memory') && limits.memoryBytes !== undefined) {
      if (!tryWrite(`${group.path}/memory.max`, String(limits.memoryBytes))) throw new Error(`the kernel refuses a memory limit of ${limits.memoryBytes} bytes`);
      tryWrite(`${group.path}/memory.swap.max`, '0');
      tryWrite(`${group.path}/memory.oom.group`, '1');
    }
    if (this.controllers.has('cpu')) {
      if (limits.cpuMilli !== undefined) tryWrite(`${group.path}/cpu.max`, `${Math.max(1_000, Math.round((limits.cpuMilli * cpuPeriodUs) / 1000))} ${cpuPeriodUs}`);
      tryWrite(`${group.path}/cpu.weight`, String(cpuWeight(requests.cpuMilli)));
    }
    return group;
  }

  adopt(key: string): GroupV2 {
    return new GroupV2(`${this.#node}/${key}`);
  }

  keys(): string[] {
    return childGroups(this.#node).filter((name) => name !== helperGroup);
  }

  helperProcsFiles(): string[] {
    const path = join(this.#node, helperGroup);
    return makeGroup(path) ? [join(path, 'cgroup.procs')] : [];
  }

  ownDirectories(): string[] {
    return [join(this.#node, helperGroup), this.#node, this.#root];
  }
}

export class GroupV2 implements AttemptGroup {
  readonly procsFiles: readonly string[];
  readonly killFile: string;

  constructor(readonly path: string) {
    this.procsFiles = [`${path}/cgroup.procs`];
    this.killFile = `${path}/cgroup.kill`;
  }

  pids(): number[] {
    return [this.path, ...childGroups(this.path).map((child) => join(this.path, child))].flatMap((path) => readPids(join(path, 'cgroup.procs')));
  }

  kill(): void {
    if (tryWrite(this.killFile, '1')) return;
    // Before Linux 5.14: nothing forks while it is frozen, and a kill is delivered all the same.
    tryWrite(`${this.path}/cgroup.freeze`, '1');
    for (const pid of this.pids()) killPid(pid, 'SIGKILL');
    tryWrite(`${this.path}/cgroup.freeze`, '0');
  }

  usage(): Usage {
    const memoryBytes = this.#memoryBytes();
    return { ...this.usageInAll(), ...(memoryBytes === undefined ? {} : { memoryBytes }) };
  }

  usageInAll(): Usage {
    const cpuSeconds = this.cpuSeconds();
    const memoryPeakBytes = readNumber(`${this.path}/memory.peak`) ?? this.#memoryBytes();
    return {
      ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
      ...(memoryPeakBytes === undefined ? {} : { memoryPeakBytes }),
    };
  }

  cpuSeconds(): number | undefined {
    return cpuSecondsOf(this.path);
  }

  oomKilled(): boolean {
    return (readKeyed(`${this.path}/memory.events`, 'oom_kill') ?? 0) > 0;
  }

  remove(): boolean {
    return removeGroup(this.path);
  }

  removeAside(): Promise<boolean> {
    return removeGroupAside(this.path);
  }

  #memoryBytes(): number | undefined {
    return readNumber(`${this.path}/memory.current`);
  }

  child(name: string): GroupV2 {
    return new GroupV2(join(this.path, name));
  }

  makeChild(name: string): GroupV2 {
    const child = this.child(name);
    // Not recursively: the attempt's own group must not come back after its end.
    mkdirSync(child.path);
    return child;
  }
}

function cpuSecondsOf(group: string): number | undefined {
  const microseconds = readKeyed(`${group}/cpu.stat`, 'usage_usec');
  return microseconds === undefined ? undefined : microseconds / 1e6;
}

/**
 * Hands the controllers on to our groups. In a container the top group holds the container's own processes, and a group
 * with processes cannot hand on anything: they are moved one level down first, as container tools do.
 */
function enableControllers(parent: string): void {
  const control = join(parent, 'cgroup.subtree_control');
  const enabled = (tryRead(control) ?? '').trim().split(/\s+/);
  const available = (tryRead(join(parent, 'cgroup.controllers')) ?? '').trim().split(/\s+/);
  const missing = controllersWanted.filter((controller) => available.includes(controller) && !enabled.includes(controller));
  if (missing.length === 0) return;
  const line = missing.map((controller) => `+${controller}`).join(' ');
  if (tryWrite(control, line) || tryRead(join(parent, 'cgroup.type')) === undefined) return;
  const below = join(parent, 'taskplane-init');
  if (!makeGroup(below)) return;
  for (const pid of readPids(join(parent, 'cgroup.procs'))) tryWrite(join(below, 'cgroup.procs'), String(pid));
  tryWrite(control, line);
}

/** Kubernetes' conversion: 1 core = 1024 shares, shares [2, 262144] map to weights [1, 10000]. */
export function cpuWeight(milli: number | undefined): number {
  return Math.floor(1 + ((cpuShares(milli) - 2) * 9999) / 262142);
}

export function cpuShares(milli: number | undefined): number {
  return Math.min(262_144, Math.max(2, Math.floor(((milli ?? 0) * 1024) / 1000)));
}
