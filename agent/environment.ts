// environment.ts
//
// The environment of a task's process, from the task and the Secrets and ConfigMaps it names. Pure: fetching is
// config-sources.ts. Expansion of $(NAME) is that of Kubernetes:
// https://github.com/kubernetes/kubernetes/blob/master/third_party/forked/golang/expansion/expand.go

import type { ConfigMap, Secret } from '../api/config.js';
import type { EnvVar, Task } from '../api/task.js';

/** What valueFrom may draw on; undefined where the object does not exist. */
export interface ConfigSources {
  secrets: ReadonlyMap<string, Secret | undefined>;
  configMaps: ReadonlyMap<string, ConfigMap | undefined>;
}

/** Something that the task's environment names is not there (yet): the attempt waits. The message holds no values. */
export class MissingConfigError extends Error {
  override readonly name = 'MissingConfigError';
}

export interface EnvironmentInput {
  task: Task;
  attempt: number;
  nodeName: string;
  sources: ConfigSources;
  /** Of the user the task runs as. */
  user: { name: string; home: string };
}

export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Names of the objects that buildEnvironment will ask for. */
export function sourcesNeeded(task: Task): { secrets: string[]; configMaps: string[] } {
  const froms = (task.spec.env ?? []).map((variable) => variable.valueFrom);
  const names = (list: readonly (string | undefined)[]): string[] => [...new Set(list.filter((name) => name !== undefined))];
  return {
    secrets: names(froms.map((from) => from?.secretKeyRef?.name)),
    configMaps: names(froms.map((from) => from?.configMapKeyRef?.name)),
  };
}

/** @throws MissingConfigError when a source that is not optional is missing */
export function buildEnvironment(input: EnvironmentInput): Record<string, string> {
  const { task, user } = input;
  const env: Record<string, string> = {
    PATH: defaultPath,
    HOME: user.home,
    USER: user.name,
    TASKPLANE_TASK_NAME: task.metadata.name ?? '',
    TASKPLANE_TASK_NAMESPACE: task.metadata.namespace ?? '',
    TASKPLANE_TASK_UID: task.metadata.uid ?? '',
    TASKPLANE_TASK_ATTEMPT: String(input.attempt),
    TASKPLANE_NODE_NAME: input.nodeName,
  };
  for (const variable of task.spec.env ?? []) {
    const value = variable.valueFrom ? valueFrom(variable, input) : expand(variable.value ?? '', env);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

/** $(NAME) becomes the value of NAME where it is known; $$ stands for $; anything else stays. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$';
    return Object.hasOwn(env, name) ? env[name]! : whole;
  });
}

function valueFrom(variable: EnvVar, input: EnvironmentInput): string | undefined {
  const from = variable.valueFrom!;
  if (from.fieldRef) return fieldValue(from.fieldRef.fieldPath, input);
  if (from.secretKeyRef) {
    const { name, key, optional } = from.secretKeyRef;
    const secret = input.sources.secrets.get(name);
    const encoded = own(secret?.data, key);
    if (encoded !== undefined) return Buffer.from(encoded, 'base64').toString('utf8');
    return missing(`Secret ${name}`, secret !== undefined, key, variable.name, optional);
  }
  if (from.configMapKeyRef) {
    const { name, key, optional } = from.configMapKeyRef;
    const configMap = input.sources.configMaps.get(name);
    const value = own(configMap?.data, key) ?? decoded(own(configMap?.binaryData, key));
    if (value !== undefined) return value;
    return missing(`ConfigMap ${name}`, configMap !== undefined, key, variable.name, optional);
  }
  return undefined;
}

function missing(what: string, exists: boolean, key: string, variable: string, optional: boolean | undefined): undefined {
  if (optional) return undefined;
  throw new MissingConfigError(
    exists ? `${what} has no key ${key}, which variable ${variable} needs` : `${what} does not exist, which variable ${variable} needs`,
  );
}

function fieldValue(path: string, input: EnvironmentInput): string {
  const { metadata } = input.task;
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return own(metadata[keyed[1] as 'labels' | 'annotations'], keyed[2]!) ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata.name ?? '';
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'status.attempt':
      return String(input.attempt);
    case 'status.nodeName':
    case 'spec.nodeName':
      return input.nodeName;
    default:
      throw new MissingConfigError(`fieldPath ${path} is not known to this agent; upgrade it`);
  }
}

function own(map: Record<string, string> | undefined, key: string): string | undefined {
  return map && Object.hasOwn(map, key) ? map[key] : undefined;
}

function decoded(base64: string | undefined): string | undefined {
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64').toString('utf8');
}
