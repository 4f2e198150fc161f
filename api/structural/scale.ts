// scale.ts: the scale subresource, which lets `kubectl scale` and autoscalers change how many there are of any kind.

import { invalidValue, required, type FieldProblem } from '../errors.js';
import type { KubeObject, ObjectMeta } from '../meta.js';
import { copyOf, isMapping } from './json.js';

/** As in spec.versions[].subresources.scale; each is a path of fields, such as `.spec.replicas`. */
export interface ScalePaths {
  specReplicasPath: string;
  statusReplicasPath: string;
  labelSelectorPath?: string;
}

/** autoscaling/v1 */
export interface Scale {
  apiVersion: 'autoscaling/v1';
  kind: 'Scale';
  metadata: ObjectMeta;
  spec: { replicas?: number };
  status: { replicas: number; selector?: string };
}

/** Why the paths are refused. */
export function scaleProblems(scale: unknown, path: string): FieldProblem[] {
  if (scale === undefined) return [];
  if (!isMapping(scale)) return [invalidValue(path, scale, 'must be a mapping')];
  const problems = [
    pathProblem(scale['specReplicasPath'], ['.spec.'], `${path}.specReplicasPath`, true),
    pathProblem(scale['statusReplicasPath'], ['.status.'], `${path}.statusReplicasPath`, true),
    pathProblem(scale['labelSelectorPath'], ['.spec.', '.status.'], `${path}.labelSelectorPath`, false),
  ];
  return problems.filter((problem) => problem !== undefined);
}

function pathProblem(value: unknown, below: readonly string[], path: string, needed: boolean): FieldProblem | undefined {
  if (value === undefined || value === '') return needed ? required(path) : undefined;
  if (typeof value !== 'string' || !value.startsWith('.')) return invalidValue(path, value, 'must be a simple json path starting with .');
  if (below.some((prefix) => value.startsWith(prefix) && value.length > prefix.length)) return undefined;
  return invalidValue(path, value, `should be a json path under ${below.length === 1 ? below[0]!.slice(0, -1) : 'either .spec or .status'}`);
}

/** The scale of an object. Replicas that are absent or no number count as 0; spec.replicas is then left out, as Kubernetes has it. */
export function scaleOf(object: KubeObject, paths: ScalePaths): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const wanted = valueAt(object, paths.specReplicasPath);
  const present = valueAt(object, paths.statusReplicasPath);
  const selector = paths.labelSelectorPath ? valueAt(object, paths.labelSelectorPath) : undefined;
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: {
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
    spec: typeof wanted === 'number' ? { replicas: wanted } : {},
    status: { replicas: typeof present === 'number' ? present : 0, ...(typeof selector === 'string' && selector ? { selector } : {}) },
  };
}

/** A copy of the object with so many replicas wanted; fields on the way to it are made where they are absent. */
export function withReplicas<T extends KubeObject>(object: T, paths: Pick<ScalePaths, 'specReplicasPath'>, replicas: number): T {
  const copy = copyOf(object);
  const keys = keysOf(paths.specReplicasPath);
  let owner: Record<string, unknown> = copy;
  for (const key of keys.slice(0, -1)) {
    const next = Object.hasOwn(owner, key) ? owner[key] : undefined;
    const child = isMapping(next) ? next : {};
    owner[key] = child;
    owner = child;
  }
  const last = keys.at(-1);
  if (last !== undefined) owner[last] = replicas;
  return copy;
}

/** Why a Scale that a client sent cannot be taken; as Kubernetes validates it. */
export function replicasProblems(replicas: unknown): FieldProblem[] {
  if (!Number.isInteger(replicas)) return [invalidValue('spec.replicas', replicas, 'must be an integer')];
  return (replicas as number) < 0 ? [invalidValue('spec.replicas', replicas, 'should be a non-negative integer')] : [];
}

function keysOf(path: string): string[] {
  return path.split('.').filter((key) => key !== '' && key !== '__proto__');
}

function valueAt(object: unknown, path: string): unknown {
  let value = object;
  for (const key of keysOf(path)) value = isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}
