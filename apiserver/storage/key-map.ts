// key-map.ts
//
// A map of keys that grows in small steps. A Map of a million that must grow copies all of it in one go, which takes a tenth
// of a second; here it is a 64th of that.

const shardBits = 6;
const shardMask = (1 << shardBits) - 1;

export class KeyMap<Value> {
  readonly #shards: readonly Map<string, Value>[] = Array.from({ length: 1 << shardBits }, () => new Map<string, Value>());
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): Value | undefined {
    return this.#shardOf(key).get(key);
  }

  /** Adds what is under no key yet. */
  add(key: string, value: Value): void {
    this.#shardOf(key).set(key, value);
    this.#size++;
  }

  delete(key: string): void {
    if (this.#shardOf(key).delete(key)) this.#size--;
  }

  /** In no order. */
  *values(): Generator<Value> {
    for (const shard of this.#shards) yield* shard.values();
  }

  /** Names that count up, and those that end in chance, differ in their last letters. */
  #shardOf(key: string): Map<string, Value> {
    const { length } = key;
    const hash = key.charCodeAt(length - 1) + key.charCodeAt(length - 2) * 7 + key.charCodeAt(length - 3) * 51;
    return this.#shards[hash & shardMask]!;
  }
}
