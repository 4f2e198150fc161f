import { timestamp, type Condition } from './meta.js';

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function conditionIs(conditions: readonly Condition[] | undefined, type: string, status: Condition['status']): boolean {
  return findCondition(conditions, type)?.status === status;
}

/**
 * A copy of `conditions` with this one set. lastTransitionTime moves only when status does.
 * @param now milliseconds since the epoch
 */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  next: { type: string; status: 'True' | 'False' | 'Unknown'; reason: string; message?: string },
  now: number,
): Condition[] {
  const old = findCondition(conditions, next.type);
  const condition: Condition = {
    type: next.type,
    status: next.status,
    reason: next.reason,
    ...(next.message ? { message: next.message } : {}),
    lastTransitionTime: old?.status === next.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(now),
  };
  if (!old) return [...(conditions ?? []), condition];
  return conditions!.map((other) => (other === old ? condition : other));
}
