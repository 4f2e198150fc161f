import type { World } from './strategies/strategy.js';
import type { ObjectCache } from './object-cache.js';
import { kindPrefix } from './registry-keys.js';

/** What this server knows to be stored. @param now milliseconds since the epoch */
export function worldOf(cache: Pick<ObjectCache, 'list'>, now: number): World {
  return { now, all: (kind) => cache.list(kindPrefix(kind)).items.map(({ object }) => object) };
}
