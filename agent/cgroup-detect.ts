// cgroup-detect.ts: which hierarchies the machine has mounted, and which of them serve.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Cgroups } from './cgroup.js';
import { CgroupsV1 } from './cgroup-v1.js';
import { CgroupsV2 } from './cgroup-v2.js';

export interface CgroupMount {
  /** v1 controllers of the hierarchy; `unified` for v2. */
  controllers: string[] | 'unified';
  path: string;
  /** Directory of the agent's own group in it. */
  own: string;
}

/**
 * The directory of an agent's groups. Agents of two clusters on one machine may bear one name (each `dev` calls its first
 * node-1): what lies in the groups of the one is no leftover of the other's, so the data directory is part of the name.
 */
export function groupNameOf(nodeName: string, dataDir: string): string {
  return `${nodeName}-${createHash('sha256').update(realpathSync(dataDir)).digest('hex').slice(0, 8)}`;
}

/**
 * @param nodeName groupNameOf the agent
 * @returns undefined when there is no hierarchy to write to
 */
export function detectCgroups(nodeName: string, mounts = readMounts()): Cgroups | undefined {
  const unified = mounts.filter((mount) => mount.controllers === 'unified').map((mount) => CgroupsV2.at(parentsOf(mount), nodeName)).find((found) => found);
  const v1 = CgroupsV1.at((controller) => {
    const mount = mounts.find((candidate) => candidate.controllers !== 'unified' && candidate.controllers.includes(controller));
    return mount ? parentsOf(mount) : [];
  }, nodeName, unified);
  return v1 ?? unified;
}

function parentsOf(mount: CgroupMount): string[] {
  return mount.own === mount.path ? [mount.path] : [mount.path, mount.own];
}

export function readMounts(mountinfo = readFileSync('/proc/self/mountinfo', 'utf8'), self = readFileSync('/proc/self/cgroup', 'utf8')): CgroupMount[] {
  return mountinfo.split('\n').flatMap((line): CgroupMount[] => {
    const [left, right] = line.split(' - ');
    if (!left || !right) return [];
    const [, , , root, path] = left.split(' ') as [string, string, string, string, string];
    const [type, , options] = right.split(' ') as [string, string, string];
    if (type === 'cgroup2') return [{ controllers: 'unified', path, own: ownPath(path, root, pathIn(self, (names) => names === '')) }];
    if (type !== 'cgroup') return [];
    const controllers = options.split(',').filter((option) => option !== 'rw' && option !== 'ro');
    return [{ controllers, path, own: ownPath(path, root, pathIn(self, (names) => controllers.includes(names.split(',')[0]!))) }];
  });
}

function pathIn(self: string, matches: (names: string) => boolean): string {
  for (const line of self.split('\n')) {
    const [, names, ...path] = line.split(':');
    if (names !== undefined && path.length > 0 && matches(names)) return path.join(':');
  }
  return '/';
}

/** The mount may show only a part of the hierarchy (`root`), as in a container. */
function ownPath(mount: string, root: string, path: string): string {
  const inside = relative(root, path);
  const own = inside.startsWith('..') ? mount : join(mount, inside);
  return existsSync(own) ? own : mount;
}
