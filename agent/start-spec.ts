// start-spec.ts: what the driver is told of an attempt to start.

import { milliOf, unitsOf } from '../api/quantity.js';
import type { Task } from '../api/task.js';
import type { StartSpec } from './driver.js';

/** @param key names the attempt and the try */
export function startSpecOf({ spec, metadata }: Task, key: string, env: Record<string, string>, fenced: boolean): StartSpec {
  const { limits, requests } = spec.resources ?? {};
  return {
    key,
    argv: spec.script === undefined ? [...(spec.command ?? []), ...(spec.args ?? [])] : [metadata.name ?? 'script', ...(spec.args ?? [])],
    ...(spec.script === undefined ? {} : { script: spec.script }),
    env,
    ...(spec.workingDir === undefined ? {} : { workingDir: spec.workingDir }),
    ...(spec.runAsUser === undefined ? {} : { runAsUser: spec.runAsUser }),
    ...(spec.stdin ? { stdin: true } : {}),
    limits: {
      ...(limits?.['memory'] === undefined ? {} : { memoryBytes: unitsOf(limits['memory']) }),
      ...(limits?.['cpu'] === undefined ? {} : { cpuMilli: milliOf(limits['cpu']) }),
    },
    requests: requests?.['cpu'] === undefined ? {} : { cpuMilli: milliOf(requests['cpu']) },
    fenced,
    annotations: metadata.annotations ?? {},
  };
}
