import { eventTtlSeconds, lastHappened, type Event } from '../../api/event.js';

/**
 * Milliseconds until the event is to be deleted (0: now).
 * @param now milliseconds since the epoch
 */
export function expiryInMs(event: Event, now: number): number {
  const last = lastHappened(event) ?? now;
  // A clock that is ahead does not keep its events longer.
  return Math.max(0, Math.min(last, now) + eventTtlSeconds * 1_000 - now);
}

/** What this controller needs of an event; the words are left to the server. */
export function withoutWords(event: Event): Event {
  const { apiVersion, kind, metadata, involvedObject, lastTimestamp, eventTime, series } = event;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  return { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion, creationTimestamp }, involvedObject: { kind: involvedObject?.kind }, lastTimestamp, eventTime, ...(series ? { series } : {}) };
}
