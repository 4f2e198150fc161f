// stored-view.ts
//
// Kinds whose objects are stored as those of another kind (KindDefinition.storedAs): clients read and write them as they
// are served, with the rules of that kind; only what reaches the store is turned round.

import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { Plan } from './mutator.js';
import { RenderedObject } from './rendering.js';
import type { Rendered } from './service.js';

/** A plan over objects of `kind`, as one over what is stored for them. */
export function planOnStored({ storedAs }: KindDefinition, plan: Plan): Plan {
  if (!storedAs) return plan;
  return (stored) => {
    const view = storedAs.fromStored(stored);
    const step = plan(view);
    if (step.do === 'nothing' && storedAs.isStale?.(stored)) return { do: 'write', object: storedAs.toStored(view, stored) };
    return step.do === 'write' ? { do: 'write', object: storedAs.toStored(step.object, stored) } : step;
  };
}

/** What is stored for a new object of `kind`. */
export function toStored({ storedAs }: KindDefinition, object: KubeObject): KubeObject {
  return storedAs ? storedAs.toStored(object) : object;
}

/** What was stored for an object of `kind`, as clients see it. */
export function asServed({ storedAs }: KindDefinition, stored: Rendered): Rendered {
  if (!storedAs) return stored;
  const object = storedAs.fromStored(stored.object);
  return object === stored.object ? stored : new RenderedObject(object);
}
