// rendering.ts: stored entries as clients see them. For most kinds that is the entry itself; a view of another kind is derived from it once.

import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { Entry } from '../storage/entry.js';
import type { Rendered } from './service.js';

/** An object that is serialised when somebody asks for its text. */
export class RenderedObject implements Rendered {
  #json: string | undefined;

  constructor(readonly object: KubeObject) {}

  get json(): string {
    return (this.#json ??= JSON.stringify(this.object));
  }
}

class RenderedProjection implements Rendered {
  #object: KubeObject | undefined;
  #json: string | undefined;

  constructor(
    private readonly entry: Entry,
    private readonly project: (object: KubeObject) => KubeObject,
  ) {}

  get object(): KubeObject {
    return (this.#object ??= this.project(this.entry.object));
  }

  get json(): string {
    return (this.#json ??= this.object === this.entry.object ? this.entry.json : JSON.stringify(this.object));
  }
}

/** Projections made so far, so that many watchers share one; they go with their entries. */
const projections = new WeakMap<KindDefinition, WeakMap<Entry, Rendered>>();

export function renderer(kind: KindDefinition): (entry: Entry) => Rendered {
  const project = viewOf(kind);
  if (!project) return (entry) => entry;
  let made = projections.get(kind);
  if (!made) projections.set(kind, (made = new WeakMap()));
  return (entry) => {
    let rendered = made.get(entry);
    if (!rendered) made.set(entry, (rendered = new RenderedProjection(entry, project)));
    return rendered;
  };
}

/** How objects of the kind are made from the stored ones; undefined when those are it. */
function viewOf({ projectionOf, storedAs }: KindDefinition): ((object: KubeObject) => KubeObject) | undefined {
  if (projectionOf) return (object) => projectionOf.project(object);
  if (storedAs) return (object) => storedAs.fromStored(object);
  return undefined;
}
