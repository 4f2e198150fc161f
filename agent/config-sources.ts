// config-sources.ts: fetches the Secrets and ConfigMaps that a task's environment names. Nothing is kept: starts at the
// same moment share one request, later ones see later values.

import { configMapKind, secretKind, type ConfigMap, type Secret } from '../api/config.js';
import { isReason } from '../api/errors.js';
import type { KindDefinition } from '../api/kind.js';
import type { KubeObject } from '../api/meta.js';
import type { Task } from '../api/task.js';
import { sourcesNeeded, type ConfigSources } from './environment.js';

export interface ObjectReader {
  get<T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace?: string): Promise<T>;
}

export class ConfigSourceReader {
  readonly #reader: ObjectReader;
  readonly #underWay = new Map<string, Promise<KubeObject | undefined>>();

  constructor(options: { reader: ObjectReader }) {
    this.#reader = options.reader;
  }

  /** @throws ApiError or TransportError when the server does not answer; objects that do not exist are undefined */
  async read(task: Task): Promise<ConfigSources> {
    const { secrets, configMaps } = sourcesNeeded(task);
    const namespace = task.metadata.namespace ?? 'default';
    const fetchAll = async <T extends KubeObject>(kind: KindDefinition<T>, names: readonly string[]): Promise<Map<string, T | undefined>> =>
      new Map(await Promise.all(names.map(async (name) => [name, await this.#shared(kind, name, namespace)] as const)));
    const [secretMap, configMapMap] = await Promise.all([fetchAll<Secret>(secretKind, secrets), fetchAll<ConfigMap>(configMapKind, configMaps)]);
    return { secrets: secretMap, configMaps: configMapMap };
  }

  #shared<T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace: string): Promise<T | undefined> {
    const key = `${kind.plural}/${namespace}/${name}`;
    const underWay = this.#underWay.get(key);
    if (underWay) return underWay as Promise<T | undefined>;
    const fetched = this.#reader
      .get(kind, name, namespace)
      .catch((error: unknown) => {
        if (isReason(error, 'NotFound')) return undefined;
        throw error;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, fetched);
    return fetched;
  }
}
