// service.ts
//
// What the API does to objects of any kind, in terms that know no HTTP. http/ turns requests into these calls;
// resource-service.ts carries them out over the watch cache.

import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { Status } from '../../api/errors.js';
import type { FieldRequirement } from '../../api/selectors.js';

export interface User {
  name: string;
  groups: readonly string[];
}

/** Who asks, and where warnings for them go (they become Warning headers). */
export interface Caller {
  user: User;
  warn(message: string): void;
}

/** An object with its JSON text; both are shared and must not be changed. storage/entry.ts is one. */
export interface Rendered {
  readonly object: KubeObject;
  readonly json: string;
  /** The object unless it would have to be parsed; absent where it never has to. */
  readonly objectAtHand?: KubeObject | undefined;
  /** The length of `json` in UTF-8, where it can be written without being made. */
  readonly jsonBytes?: number;
  /** Writes `json` in UTF-8. */
  writeJson?(into: Buffer, at: number): void;
}

export interface Target {
  kind: KindDefinition;
  /** Undefined for kinds of no namespace, and for collections over all namespaces. */
  namespace: string | undefined;
}

export interface ObjectTarget extends Target {
  name: string;
  subresource?: 'status' | 'finalize';
}

export interface ReadOptions {
  /** Absent: as of now (strong). "0": what the cache has (eventual). N: not older than N. */
  resourceVersion?: string;
  resourceVersionMatch?: string;
}

export interface SelectOptions {
  labelSelector?: string;
  fieldSelector?: string;
  /** What meets these is selected as well as what meets fieldSelector. */
  orFields?: readonly FieldRequirement[];
}

export interface ListQuery extends ReadOptions, SelectOptions {
  limit?: number;
  continue?: string;
  /** Forbidden: only a watch has initial events. */
  sendInitialEvents?: boolean;
}

export interface ListReply {
  items: readonly Rendered[];
  resourceVersion: string;
  continue?: string;
  remainingItemCount?: number;
}

export interface WatchQuery extends SelectOptions {
  resourceVersion?: string;
  resourceVersionMatch?: string;
  allowWatchBookmarks?: boolean;
  sendInitialEvents?: boolean;
  /** End the watch after so many seconds. */
  timeoutSeconds?: number;
  /** Changes that are nothing but this reporter's reports are left out, where that is known (own-reports.ts). */
  exceptReportsOf?: string;
  continue?: string;
}

export interface WatchSink {
  /** In order; `json` is the object's text. BOOKMARK objects carry only kind, apiVersion, metadata. */
  event(type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK', object: Rendered): void;
  /** The watch is over: undefined when its time was up, else why (410 Expired, 429 for a reader that is too slow …). */
  end(status: Status | undefined): void;
  /** Whether the reader should be waited for before more is sent that can wait. */
  readonly full?: boolean;
  /** Resolves when the reader has taken enough of it, or has gone. */
  drained?(): Promise<void>;
}

export interface WriteOptions {
  dryRun?: boolean;
  /** Who writes; absent when nobody is to own what is written. */
  fieldManager?: string;
  /** The subresource that the write comes through, where the target names none: the fields are owned through it. */
  writtenThrough?: 'scale';
  /** Default Warn, as Kubernetes has it. */
  fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
}

export type PatchType = 'application/json-patch+json' | 'application/merge-patch+json' | 'application/strategic-merge-patch+json' | 'application/apply-patch+yaml';

export interface ApplyOptions extends WriteOptions {
  /** Take over the fields of others instead of refusing. */
  force?: boolean;
}

export interface DeleteOptions {
  dryRun?: boolean;
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  preconditions?: { uid?: string; resourceVersion?: string };
}

/** Every method throws ApiError for what the caller or the world did wrong. */
export interface ResourceService {
  get(caller: Caller, target: ObjectTarget, options?: ReadOptions): Promise<Rendered>;
  list(caller: Caller, target: Target, query: ListQuery): Promise<ListReply>;
  /** Resolves once the watch has started (headers may go out); returns what stops it. */
  watch(caller: Caller, target: Target, query: WatchQuery, sink: WatchSink): Promise<() => void>;
  create(caller: Caller, target: Target, object: KubeObject, options: WriteOptions): Promise<Rendered>;
  /** NotFound for an object that is not there: a PUT creates nothing. */
  update(caller: Caller, target: ObjectTarget, object: KubeObject, options: WriteOptions): Promise<Rendered>;
  /** Of type apply-patch+yaml: apply, without word of whether the object is new. */
  patch(caller: Caller, target: ObjectTarget, type: PatchType, patch: unknown, options: ApplyOptions): Promise<Rendered>;
  /** Server-side apply; an object that is not there is created. */
  apply(caller: Caller, target: ObjectTarget, config: unknown, options: ApplyOptions): Promise<{ rendered: Rendered; created: boolean }>;
  /** The object when it is still there (terminating), else a Success Status whose details carry its uid. */
  delete(caller: Caller, target: ObjectTarget, options: DeleteOptions): Promise<Rendered | Status>;
  /** The objects that were deleted or asked to go. */
  deleteCollection(caller: Caller, target: Target, query: ListQuery, options: DeleteOptions): Promise<ListReply>;
}
