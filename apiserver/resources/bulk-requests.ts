// bulk-requests.ts: the shapes of bulk and presence requests. A request of another shape is refused as a whole, with all problems.

import { Type, type TSchema } from 'typebox';
import { ApiError, badRequest } from '../../api/errors.js';
import { bulkItemsMax, type BindingBulk, type EventBulk, type PresenceRequest, type SchedulingBulk, type StatusBulk } from '../../api/protocol.js';
import { ObjectSchema } from '../../api/schema.js';
import { isMapping } from './admission.js';

const opt = Type.Optional;
const text = Type.String({ minLength: 1 });
const time = Type.String({ format: 'date-time' });
const count = Type.Integer({ minimum: 0 });
const amount = Type.Number({ minimum: 0 });

const bulk = (item: TSchema, more: Record<string, TSchema> = {}) => new ObjectSchema(Type.Object({ ...more, items: Type.Array(item) }));

const bindingBulk = bulk(Type.Object({ namespace: text, name: text, uid: text, nodeName: text, generation: opt(count) }));

const schedulingBulk = bulk(Type.Object({ namespace: text, name: text, uid: text, reason: text, message: Type.String() }));

const usage = Type.Object({ cpuSeconds: opt(amount), memoryPeakBytes: opt(count) });

const ending = {
  startTime: opt(time),
  finishTime: opt(time),
  exitCode: opt(Type.Integer()),
  signal: opt(Type.String()),
  reason: opt(Type.String()),
};

const event = Type.Object({
  namespace: text,
  involvedObject: Type.Object({ apiVersion: Type.String(), kind: text, namespace: opt(Type.String()), name: text, uid: Type.String() }),
  type: Type.String({ enum: ['Normal', 'Warning'] }),
  reason: text,
  message: Type.String(),
  component: text,
  host: opt(Type.String()),
  count: Type.Integer({ minimum: 1 }),
  firstTimestamp: time,
  lastTimestamp: time,
});

const statusBulk = bulk(
  Type.Object({
    namespace: text,
    name: text,
    uid: text,
    bindings: count,
    attempt: count,
    phase: Type.String({ enum: ['Scheduled', 'Running', 'Succeeded', 'Failed', 'Lost', 'Evicted'] }),
    firstStartTime: opt(time),
    ...ending,
    message: opt(Type.String()),
    usage: opt(usage),
    lastAttempt: opt(Type.Object({ attempt: count, nodeName: opt(Type.String()), ...ending })),
  }),
  { nodeName: text, reporter: opt(Type.String()), events: opt(Type.Array(event)) },
);

const eventBulk = bulk(event);

const presenceRequest = new ObjectSchema(
  Type.Object({
    session: text,
    announce: Type.Boolean(),
    load: opt(
      Type.Object({
        cpuMilli: amount,
        memoryBytes: amount,
        loadAverage: amount,
        tasks: opt(Type.Record(Type.String(), Type.Object({ cpuMilli: amount, memoryBytes: amount }))),
      }),
    ),
  }),
);

export const readBindingBulk = (body: unknown): BindingBulk => readBulk<BindingBulk>(bindingBulk, body);
export const readSchedulingBulk = (body: unknown): SchedulingBulk => readBulk<SchedulingBulk>(schedulingBulk, body);
export const readStatusBulk = (body: unknown): StatusBulk => readBulk<StatusBulk>(statusBulk, body);
export const readEventBulk = (body: unknown): EventBulk => readBulk<EventBulk>(eventBulk, body);

/** The items of a bulk create: what each of them is is looked at one by one. @throws ApiError */
export function readTaskBulk(body: unknown): readonly unknown[] {
  if (!isMapping(body) || !Array.isArray(body['items'])) throw badRequest('the body must have a list of items');
  refuseTooMany(body['items'].length);
  return body['items'];
}

/** @throws ApiError BadRequest with every problem */
export function readPresenceRequest(body: unknown): PresenceRequest {
  return read<PresenceRequest>(presenceRequest, body);
}

function readBulk<T extends { items: readonly unknown[] }>(schema: ObjectSchema, body: unknown): T {
  if (isMapping(body)) for (const items of [body['items'], body['events']]) if (Array.isArray(items)) refuseTooMany(items.length);
  return read<T>(schema, body);
}

function read<T>(schema: ObjectSchema, body: unknown): T {
  const problems = schema.problems(body);
  if (problems.length > 0) throw badRequest(problems.map(({ field, message }) => (field ? `${field}: ${message}` : message)).join(', '));
  return body as T;
}

function refuseTooMany(items: number): void {
  if (items > bulkItemsMax) throw new ApiError('RequestEntityTooLarge', `the request has ${items} items, at most ${bulkItemsMax} are allowed`);
}
