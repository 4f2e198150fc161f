// version.ts: what /version tells. kubectl picks its behaviour, and some dispatchers a whole client, by the minor version.

import { readFileSync } from 'node:fs';

/** The Kubernetes version whose conventions the server keeps. */
const kubernetesVersion = { major: '1', minor: '33', patch: '0' } as const;

export interface VersionInfo {
  major: string;
  minor: string;
  gitVersion: string;
  gitCommit: string;
  gitTreeState: string;
  buildDate: string;
  goVersion: string;
  compiler: string;
  platform: string;
}

/** @param version of this package: `0.1.0` */
export function versionInfo(version: string): VersionInfo {
  const { major, minor, patch } = kubernetesVersion;
  return {
    major,
    minor,
    gitVersion: `v${major}.${minor}.${patch}+taskplane.${version}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: process.version,
    compiler: 'node',
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  };
}

/** Version of the package that this file belongs to, wherever it was built to. */
export function packageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { name?: string; version?: string };
      if (manifest.name === 'taskplane' && manifest.version) return manifest.version;
    } catch {
      continue;
    }
  }
  return '0.0.0';
}
