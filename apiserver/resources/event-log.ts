// event-log.ts
//
// Events, aggregated: what happens again to the same object, with the same reason and message, from the same component,
// is one Event object with a count. Its name is derived from all that, so that recording needs no search.

import { hash } from 'node:crypto';
import { ApiError, isReason, notFound } from '../../api/errors.js';
import { eventKind as eventDefinition, type Event } from '../../api/event.js';
import type { KindDefinition } from '../../api/kind.js';
import { namespaceKind } from '../../api/namespace.js';
import type { BulkOutcome, EventItem } from '../../api/protocol.js';
import type { Creator } from './create.js';
import type { Mutator } from './mutator.js';
import { refuseClosedNamespace } from './namespaces.js';
import type { ObjectCache } from './object-cache.js';
import { kindPrefix, objectStoreKey } from './registry-keys.js';
import { silentCaller } from './system-caller.js';

const eventKind = eventDefinition as unknown as KindDefinition;

/** Longer messages are cut, as Kubernetes does. */
const messageLengthMax = 1_024;
const hashLength = 16;
/** Room in an object name for a dot and the hash. */
const namePrefixLengthMax = 253 - hashLength - 1;
/** Past this many events, only warnings are recorded; past twice as many, nothing. */
const normalEventsMax = 50_000;
const triesMax = 8;

/** Counts down while a request's events are recorded. */
export interface EventRoom {
  readonly left: Record<EventItem['type'], number>;
}

export class EventLog {
  constructor(private readonly options: { cache: ObjectCache; mutator: Mutator; creator: Creator }) {}

  /** How many new events one request may add. */
  room(): EventRoom {
    const { remaining: events } = this.options.cache.list(kindPrefix(eventKind), { limit: 0 });
    return { left: { Normal: normalEventsMax - events, Warning: 2 * normalEventsMax - events } };
  }

  /** @throws ApiError NotFound or Forbidden for the namespace, TooManyRequests when there are too many events already */
  async record(item: EventItem, room: EventRoom): Promise<BulkOutcome> {
    const { mutator, cache } = this.options;
    const name = eventName(item);
    const target = { kind: eventKind, name, key: objectStoreKey(eventKind, name, item.namespace) };
    for (let tries = 0; tries < triesMax; tries++) {
      if (cache.get(target.key) || tries > 0) {
        try {
          const { resourceVersion } = await mutator.mutate(target, (stored) => ({ do: 'write', object: countedUp(stored as Event, item) }));
          return { code: 200, name, resourceVersion };
        } catch (error) {
          if (!isReason(error, 'NotFound')) throw error;
        }
      }
      const outcome = await this.#create(item, name, room);
      if (outcome) return outcome;
    }
    throw notFound(eventKind, name);
  }

  async #create(item: EventItem, name: string, room: EventRoom): Promise<BulkOutcome | undefined> {
    const { cache, mutator, creator } = this.options;
    if (room.left[item.type]-- <= 0) {
      throw new ApiError('TooManyRequests', 'there are too many events already; this one is not recorded. Events go an hour after they last happened');
    }
    const namespaceKey = objectStoreKey(namespaceKind, item.namespace, undefined);
    const namespace = cache.get(namespaceKey) ?? (await mutator.find(namespaceKey));
    refuseClosedNamespace(eventKind, name, item.namespace, namespace?.object);
    const event = creator.prepare(silentCaller, { kind: eventKind, namespace: item.namespace }, newEvent(item, name), { fieldValidation: 'Strict' }, undefined, true);
    const stored = await creator.offer(eventKind, item.namespace, event, false);
    return stored && { code: 201, name, resourceVersion: stored.resourceVersion };
  }

}

function eventName({ involvedObject, reason, message, component }: EventItem): string {
  const identity = [involvedObject.kind, involvedObject.name, involvedObject.uid, reason, cut(message), component];
  const digest = hash('sha256', JSON.stringify(identity), 'hex').slice(0, hashLength);
  const prefix = involvedObject.name.slice(0, namePrefixLengthMax).replace(/[^a-z0-9]+$/, '');
  return `${prefix}.${digest}`;
}

function newEvent(item: EventItem, name: string): Event {
  const { involvedObject, type, reason, message, component, host, count, firstTimestamp, lastTimestamp } = item;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: item.namespace },
    involvedObject,
    type,
    reason,
    message: cut(message),
    source: { component, ...(host ? { host } : {}) },
    reportingComponent: component,
    count,
    firstTimestamp,
    lastTimestamp,
  };
}

function countedUp(stored: Event, { count, lastTimestamp, host, component }: EventItem): Event {
  const last = stored.lastTimestamp && Date.parse(stored.lastTimestamp) > Date.parse(lastTimestamp) ? stored.lastTimestamp : lastTimestamp;
  return { ...stored, count: (stored.count ?? 1) + count, lastTimestamp: last, source: { component, ...(host ? { host } : {}) } };
}

function cut(message: string): string {
  return message.length > messageLengthMax ? `${message.slice(0, messageLengthMax - 1)}…` : message;
}
