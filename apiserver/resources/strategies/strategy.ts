// strategy.ts: what is particular to a kind when its objects are written. Everything else is the same for all kinds.

import type { FieldProblem } from '../../../api/errors.js';
import type { KindDefinition } from '../../../api/kind.js';
import type { KubeObject } from '../../../api/meta.js';
import type { Target, User } from '../service.js';

/** What is around an object that is written. */
export interface World {
  /** Milliseconds since the epoch. */
  now: number;
  /** Every stored object of the kind; shared, never change one. */
  all(kind: KindDefinition): Iterable<KubeObject>;
}

export interface Strategy {
  /** @throws ApiError Forbidden when clients may not write this object at all */
  refuseWrite?(target: Target & { name: string }): void;
  /**
   * Looks at what a client makes of `stored`, which is undefined for a new object.
   * @throws ApiError Forbidden when this user may write such objects, but not this into them
   */
  refuseChange?(user: User, next: KubeObject, stored: KubeObject | undefined): void;
  /** Problems of an object of the right shape that only the server looks for. `stored` is shared and must not change; undefined for a new object. */
  problems?(object: KubeObject, stored: KubeObject | undefined): FieldProblem[];
  /** What the server sets on a new object, in place. `now` is milliseconds since the epoch. */
  prepareForCreate?(object: KubeObject, now: number): void;
  /** What the server keeps or sets on a changed object, in place; `stored` is shared and must not change. */
  prepareForUpdate?(next: KubeObject, stored: KubeObject): void;
  /** What depends on other objects, in place, last before each write; what `object` holds is shared with others. */
  settle?(object: KubeObject, world: World): void;
  /** Whether a write is judged only when this server knows all that was acknowledged before it, and answered only when this server itself goes by it. */
  readonly isAwaited?: boolean;
  /** What keeps back an object whose deletion begins, in place. `now` is milliseconds since the epoch. */
  beginDelete?(next: KubeObject, now: number): void;
  /** What a PUT of a subresource of this name makes of the stored object, which is shared and must not change. */
  subresources?: Readonly<Record<string, (stored: KubeObject, desired: KubeObject) => KubeObject>>;
  /** @throws ApiError Forbidden when this object may not be deleted */
  refuseDelete?(stored: KubeObject): void;
  /** What changes, in place, when deletion begins and the object has to wait for it. */
  prepareForDelete?(next: KubeObject): void;
  /** Seconds that the object's processes have to end: 0 removes it at once. `asked` is what the client wants. */
  graceSeconds?(stored: KubeObject, asked: number | undefined): number;
  /** Whether a deleted object without finalizers may go: nothing runs for it any more. */
  mayRemove?(object: KubeObject): boolean;
}
