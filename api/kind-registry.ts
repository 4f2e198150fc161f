// kind-registry.ts
//
// Every kind that is served now: the built-in ones, which never change, and those that users define, which come and go. A
// definition never changes either: when a user changes theirs, another takes its place and the old one is retired, which
// whoever still works with it (a watch) is told.

import type { KindDefinition } from './kind.js';
import { compareVersions } from './kube-version.js';

/** The kinds as their readers see them. */
export interface ServedKinds {
  /** In the order of discovery: the built-in ones, then the others by group, version (the preferred first) and plural. */
  readonly kinds: readonly KindDefinition[];
  /** Grows whenever `kinds` changes, or what is to be told of one of them. */
  readonly revision: number;
  find(group: string, version: string, plural: string): KindDefinition | undefined;
  /** Calls back once when the kind is no longer served as it is, at once if that is so already. Returns what forgets the call. */
  onRetired(kind: KindDefinition, retired: () => void): () => void;
}

const forget = (): void => {};

export class KindRegistry implements ServedKinds {
  readonly #builtIn: readonly KindDefinition[];
  #kinds: readonly KindDefinition[];
  #byPlural: ReadonlyMap<string, KindDefinition>;
  #revision = 0;
  /** Of each custom kind that is served: who wants to know when it no longer is. */
  #waiting = new Map<KindDefinition, Set<() => void>>();
  readonly #isBuiltIn: ReadonlySet<KindDefinition>;

  constructor(builtIn: readonly KindDefinition[]) {
    this.#builtIn = builtIn;
    this.#isBuiltIn = new Set(builtIn);
    this.#kinds = builtIn;
    this.#byPlural = byPlural(builtIn);
  }

  get kinds(): readonly KindDefinition[] {
    return this.#kinds;
  }

  get revision(): number {
    return this.#revision;
  }

  find(group: string, version: string, plural: string): KindDefinition | undefined {
    return this.#byPlural.get(`${group}/${version}/${plural}`);
  }

  onRetired(kind: KindDefinition, retired: () => void): () => void {
    if (this.#isBuiltIn.has(kind)) return forget;
    const waiting = this.#waiting.get(kind);
    if (!waiting) {
      retired();
      return forget;
    }
    waiting.add(retired);
    return () => waiting.delete(retired);
  }

  /** These are the kinds of users from now on; those that were there before and are not among them are retired. */
  setCustom(custom: readonly KindDefinition[]): void {
    const sorted = custom.toSorted((a, b) => compareText(a.group, b.group) || compareVersions(a.version, b.version) || compareText(a.plural, b.plural));
    this.#kinds = [...this.#builtIn, ...sorted];
    this.#byPlural = byPlural(this.#kinds);
    this.#revision++;
    const before = this.#waiting;
    this.#waiting = new Map(sorted.map((kind) => [kind, before.get(kind) ?? new Set()]));
    for (const [kind, waiting] of before) if (!this.#waiting.has(kind)) for (const retired of [...waiting]) retired();
  }
}

/** Of two kinds of one name the first has it: the built-in one. */
function byPlural(kinds: readonly KindDefinition[]): Map<string, KindDefinition> {
  const found = new Map<string, KindDefinition>();
  for (const kind of kinds) {
    const key = `${kind.group}/${kind.version}/${kind.plural}`;
    if (!found.has(key)) found.set(key, kind);
  }
  return found;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
