// cgroup-v1.ts
//
// Attempt groups in v1 hierarchies: memory, cpu and cpuacct where they exist, and for killing a v2 hierarchy beside
// them (cgroup.kill) or else the freezer. One attempt has a directory of the same name in each that it needs: each costs
// the making, the joining and the removing. The v2 hierarchy also counts the time on the cpu.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { childGroups, killPid, makeAttemptGroup, makeGroup, readKeyed, readNumber, readPids, removeGroup, removeGroupAside, tryWrite, type AttemptGroup, type Cgroups, type GroupSettings } from './cgroup.js';
import { cpuShares, type CgroupsV2, type GroupV2 } from './cgroup-v2.js';
import type { Usage } from './driver.js';

type Controller = 'memory' | 'cpu' | 'cpuacct' | 'freezer';
const cpuPeriodUs = 100_000;

export class CgroupsV1 implements Cgroups {
  readonly kind = 'cgroup-v1';
  readonly problem: string | undefined;
  readonly #nodes: ReadonlyMap<Controller, string>;
  readonly #unified: CgroupsV2 | undefined;
  readonly #countedByUnified: boolean;

  /** @returns undefined when neither memory nor cpuacct can be had as v1 */
  static at(parentsOf: (controller: Controller) => readonly string[], nodeName: string, unified: CgroupsV2 | undefined): CgroupsV1 | undefined {
    if (unified?.controllers.has('memory')) return undefined;
    const nodes = new Map<Controller, string>();
    const wanted: readonly Controller[] = unified ? ['memory', 'cpu', 'cpuacct'] : ['memory', 'cpu', 'cpuacct', 'freezer'];
    for (const controller of wanted) {
      const node = parentsOf(controller).map((parent) => join(parent, 'taskplane', nodeName)).find(makeGroup);
      if (node) nodes.set(controller, node);
    }
    return nodes.has('memory') || nodes.has('cpuacct') ? new CgroupsV1(nodes, unified) : undefined;
  }

  private constructor(nodes: ReadonlyMap<Controller, string>, unified: CgroupsV2 | undefined) {
    this.#nodes = nodes;
    this.#unified = unified;
    this.#countedByUnified = unified?.countsCpu === true;
    const missing = (['memory', 'cpu'] as const).filter((controller) => !nodes.has(controller));
    this.problem = missing.length > 0 ? `limits of ${missing.join(' and ')} are not enforced: no such cgroup hierarchy can be written` : undefined;
  }

  async create(key: string, { limits, requests }: GroupSettings): Promise<AttemptGroup> {
    const needless = new Set<Controller>();
    // The cpu group only changes anything for tasks that say something about cpu.
    if (limits.cpuMilli === undefined && requests.cpuMilli === undefined) needless.add('cpu');
    if (this.#countedByUnified) needless.add('cpuacct');
    const dirs = this.#dirs(key, needless);
    const unified = this.#unified?.create(key, { limits: {}, requests: {} });
    // All of them, so that nothing is still being made when it is said that one was refused.
    for (const made of await Promise.allSettled([...[...new Set(dirs.values())].map((dir) => makeAttemptGroup(dir)), unified])) if (made.status === 'rejected') throw made.reason;
    const memory = dirs.get('memory');
    if (memory && limits.memoryBytes !== undefined) {
      if (!tryWrite(`${memory}/memory.limit_in_bytes`, String(limits.memoryBytes))) throw new Error(`the kernel refuses a memory limit of ${limits.memoryBytes} bytes`);
      tryWrite(`${memory}/memory.memsw.limit_in_bytes`, String(limits.memoryBytes));
    }
    const cpu = dirs.get('cpu');
    if (cpu) {
      if (limits.cpuMilli !== undefined) {
        tryWrite(`${cpu}/cpu.cfs_period_us`, String(cpuPeriodUs));
        tryWrite(`${cpu}/cpu.cfs_quota_us`, String(Math.max(1_000, Math.round((limits.cpuMilli * cpuPeriodUs) / 1000))));
      }
      if (requests.cpuMilli !== undefined) tryWrite(`${cpu}/cpu.shares`, String(cpuShares(requests.cpuMilli)));
    }
    return new GroupV1(dirs, await unified);
  }

  adopt(key: string): AttemptGroup {
    // Not every attempt has one in each hierarchy.
    const dirs = new Map([...this.#dirs(key)].filter(([, dir]) => existsSync(dir)));
    return new GroupV1(dirs, this.#unified?.adopt(key));
  }

  keys(): string[] {
    return [...new Set([...[...this.#nodes.values()].flatMap(childGroups), ...(this.#unified?.keys() ?? [])])];
  }

  helperProcsFiles(): string[] {
    return this.#unified?.helperProcsFiles() ?? [];
  }

  ownDirectories(): string[] {
    return [...[...this.#nodes.values()].flatMap((node) => [node, join(node, '..')]), ...(this.#unified?.ownDirectories() ?? [])];
  }

  #dirs(key: string, without: ReadonlySet<Controller> = new Set()): Map<Controller, string> {
    return new Map([...this.#nodes].filter(([controller]) => !without.has(controller)).map(([controller, node]) => [controller, `${node}/${key}`]));
  }
}

class GroupV1 implements AttemptGroup {
  readonly procsFiles: readonly string[];
  readonly killFile: string | undefined;

  constructor(
    readonly dirs: ReadonlyMap<Controller, string>,
    readonly unified: GroupV2 | undefined,
  ) {
    this.procsFiles = [...new Set([...dirs.values()].map((dir) => `${dir}/cgroup.procs`))].concat(unified?.procsFiles ?? []);
    this.killFile = unified?.killFile;
  }

  pids(): number[] {
    if (this.unified) return this.unified.pids();
    return [...new Set([...this.dirs.values()].flatMap((dir) => readPids(`${dir}/cgroup.procs`)))];
  }

  kill(): void {
    if (this.unified) return this.unified.kill();
    const freezer = this.dirs.get('freezer');
    if (freezer) tryWrite(`${freezer}/freezer.state`, 'FROZEN');
    for (const pid of this.pids()) killPid(pid, 'SIGKILL');
    if (freezer) tryWrite(`${freezer}/freezer.state`, 'THAWED');
  }

  usage(): Usage {
    const memoryBytes = this.#number('memory', 'memory.usage_in_bytes');
    return { ...this.usageInAll(), ...(memoryBytes === undefined ? {} : { memoryBytes }) };
  }

  usageInAll(): Usage {
    const cpuNs = this.#number('cpuacct', 'cpuacct.usage');
    const cpuSeconds = cpuNs === undefined ? this.unified?.cpuSeconds() : cpuNs / 1e9;
    const memoryPeakBytes = this.#number('memory', 'memory.max_usage_in_bytes');
    return {
      ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
      ...(memoryPeakBytes === undefined ? {} : { memoryPeakBytes }),
    };
  }

  oomKilled(): boolean {
    const memory = this.dirs.get('memory');
    return memory !== undefined && (readKeyed(`${memory}/memory.oom_control`, 'oom_kill') ?? 0) > 0;
  }

  remove(): boolean {
    const removed = [...new Set(this.dirs.values())].map(removeGroup);
    return (this.unified?.remove() ?? true) && removed.every(Boolean);
  }

  async removeAside(): Promise<boolean> {
    const removed = await Promise.all([...[...new Set(this.dirs.values())].map(removeGroupAside), this.unified?.removeAside() ?? true]);
    return removed.every(Boolean);
  }

  child(name: string): AttemptGroup | undefined {
    if (this.unified) return this.#part(this.unified.child(name));
    const freezer = this.dirs.get('freezer');
    return freezer === undefined ? undefined : this.#part(new GroupV1(new Map([['freezer', join(freezer, name)]]), undefined));
  }

  makeChild(name: string): AttemptGroup | undefined {
    if (this.unified) return this.#part(this.unified.makeChild(name));
    const freezer = this.dirs.get('freezer');
    if (freezer !== undefined) mkdirSync(join(freezer, name));
    return this.child(name);
  }

  /** Killed on its own, in the hierarchy that serves to kill; in the others it is part of this group. */
  #part(own: AttemptGroup | undefined): AttemptGroup | undefined {
    if (!own) return undefined;
    const common = [...this.dirs].filter(([controller]) => controller !== 'freezer').map(([, dir]) => `${dir}/cgroup.procs`);
    const procsFiles = [...new Set([...common, ...own.procsFiles])];
    return {
      procsFiles,
      killFile: own.killFile,
      pids: () => own.pids(),
      kill: () => own.kill(),
      usage: () => own.usage(),
      usageInAll: () => own.usageInAll(),
      oomKilled: () => own.oomKilled(),
      remove: () => own.remove(),
      removeAside: () => own.removeAside(),
      child: () => undefined,
      makeChild: () => undefined,
    };
  }

  #number(controller: Controller, file: string): number | undefined {
    const dir = this.dirs.get(controller);
    return dir === undefined ? undefined : readNumber(`${dir}/${file}`);
  }
}
