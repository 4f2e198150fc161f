// kubectls.ts: every stock kubectl that this machine has, by its version.

import { accessSync, constants, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

export interface Kubectl {
  /** `PATH`, `1.30`, `Debian`. */
  title: string;
  path: string;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The one on PATH, any kubectl.1.NN beside it or on PATH (distributions that carry several versions name them so), and the
 * one that the test runner unpacked.
 */
export function stockKubectls(): Kubectl[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  const onPath = folders.map((folder) => join(folder, 'kubectl')).find(isProgram);
  const found: Kubectl[] = onPath ? [{ title: 'PATH', path: onPath }] : [];
  const known = ['/usr/lib/google-cloud-sdk/bin', '/opt/google-cloud-sdk/bin', '/snap/google-cloud-sdk/current/bin', ...(onPath ? [dirname(realpathSync(onPath))] : [])];
  const versions = new Map<string, string>();
  for (const folder of new Set([...folders, ...known])) {
    for (const name of namesIn(folder)) {
      const version = /^kubectl[.-]v?(1\.\d+)/.exec(name)?.[1];
      if (version && !versions.has(version) && isProgram(join(folder, name))) versions.set(version, join(folder, name));
    }
  }
  found.push(...[...versions].sort().map(([title, path]) => ({ title, path })));
  const debian = process.env['TASKPLANE_DEBIAN_KUBECTL'];
  if (debian && isProgram(debian)) found.push({ title: 'Debian', path: debian });
  return found;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
