// pod-events.ts
//
// What happens to a task is recorded as events of the Task. Tools that show a Pod ask for the events of a Pod (kubectl describe by name and
// uid, kubectl events --for by kind): they get those of its task as well, as they are, so that each says what it is about.

import { eventKind } from '../../api/event.js';
import { eventV1Kind } from '../../api/event-v1.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import { podKind, podUid } from '../../api/pod.js';
import { fixedField, parseFieldSelector, type FieldRequirement } from '../../api/selectors.js';
import { taskKind, type Task } from '../../api/task.js';
import type { ObjectCache } from './object-cache.js';
import { objectStoreKey } from './registry-keys.js';
import type { SelectOptions, Target } from './service.js';

/**
 * The query, extended by the events of the task where it asks for those of a Pod.
 * @throws ApiError BadRequest for a selector that cannot be read
 */
export function withEventsOfTask<Query extends SelectOptions>(cache: Pick<ObjectCache, 'get'>, target: Target, query: Query): Query {
  const prefix = isKind(target.kind, eventKind) ? 'involvedObject' : isKind(target.kind, eventV1Kind) ? 'regarding' : undefined;
  if (!prefix || !query.fieldSelector?.includes(prefix)) return query;
  const fields = parseFieldSelector(query.fieldSelector);
  const fixed = (field: string): string | undefined => fixedField(fields, `${prefix}.${field}`);
  const kind = fixed('kind');
  const name = fixed('name');
  if ((kind !== undefined && kind !== podKind.kind) || !name) return query;
  const namespace = fixed('namespace') || target.namespace;
  const task = namespace ? (cache.get(objectStoreKey(taskKind, name, namespace))?.object as Task | undefined) : undefined;
  const asTask = fields.map((requirement): FieldRequirement => {
    const { field, equal, value } = requirement;
    if (!equal) return requirement;
    switch (field.slice(prefix.length + 1)) {
      case 'kind':
        return { ...requirement, value: taskKind.kind };
      case 'apiVersion':
        return value === apiVersionOf(podKind) ? { ...requirement, value: apiVersionOf(taskKind) } : requirement;
      case 'uid':
        return task && podUid(task) === value ? { ...requirement, value: task.metadata.uid ?? '' } : requirement;
      default:
        return requirement;
    }
  });
  return { ...query, orFields: asTask };
}

function isKind(kind: KindDefinition, other: Pick<KindDefinition, 'group' | 'plural'>): boolean {
  return kind.plural === other.plural && kind.group === other.group;
}
