// protocol.ts
//
// What Taskplane's own components say beyond the Kubernetes API: many things in one request, presence, logs over the
// agent's connection. Paths are relative to the API server.

import type { ApiError, Status } from './errors.js';
import type { TaskReport } from './task-status.js';
import type { Task } from './task.js';

/** POST here many objects at once; each item has its own outcome, in the order of the request. */
export const bulkPaths = {
  /** Body TaskBulk: creates tasks, in any namespaces. Query `dryRun`, `fieldValidation`, `fieldManager` as for a create. */
  create: '/apis/taskplane.dev/v1/bulk/tasks',
  /** Body BindingBulk: binds pending tasks to nodes. */
  bind: '/apis/taskplane.dev/v1/bulk/bindings',
  /** Body StatusBulk: an agent reports on the tasks bound to its node. */
  status: '/apis/taskplane.dev/v1/bulk/statuses',
  /** Body SchedulingBulk: the scheduler says why tasks stay pending. */
  unschedulable: '/apis/taskplane.dev/v1/bulk/unschedulables',
  /** Body EventBulk: records events, creating or counting up. */
  events: '/apis/taskplane.dev/v1/bulk/events',
} as const;

/** At most this many items in one bulk request. */
export const bulkItemsMax = 5_000;

export interface TaskBulk {
  items: Task[];
}

export interface BindingItem {
  namespace: string;
  name: string;
  uid: string;
  nodeName: string;
  /** The metadata.generation that was decided on: refused when the spec has changed since. Any, when absent. */
  generation?: number;
}

export interface BindingBulk {
  items: BindingItem[];
}

export interface StatusBulk {
  nodeName: string;
  items: TaskReport[];
  /**
   * Who reports: any text that nobody else uses. A watch with the query parameter `exceptReportsOf` of the same text is not told of changes that
   * are nothing but such a report on a task which stays where it is, of which its reporter knows by the outcome. It is a saving, no promise: one
   * that resumes, or is another server's, is told of them, too.
   */
  reporter?: string;
  /** Recorded as those of an EventBulk; their outcomes follow those of the items. */
  events?: EventItem[];
}

export interface UnschedulableItem {
  namespace: string;
  name: string;
  uid: string;
  reason: string;
  message: string;
}

export interface SchedulingBulk {
  items: UnschedulableItem[];
}

export interface EventItem {
  /** Namespace of the involved object; `default` for objects of no namespace. */
  namespace: string;
  involvedObject: { apiVersion: string; kind: string; namespace?: string; name: string; uid: string };
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  /** Component that saw it: `scheduler`, `agent`, … */
  component: string;
  /** Node it was seen on, where there is one. */
  host?: string;
  /** How often, since the last time it was sent. */
  count: number;
  /** RFC 3339. */
  firstTimestamp: string;
  lastTimestamp: string;
}

export interface EventBulk {
  items: EventItem[];
}

/** One item's outcome: `resourceVersion` (and `name` for creates) on success, the Status otherwise. */
export interface BulkOutcome {
  /** HTTP code of the item. */
  code: number;
  name?: string;
  resourceVersion?: string;
  status?: Status;
}

export interface BulkResult {
  kind: 'BulkResult';
  apiVersion: 'taskplane.dev/v1';
  items: BulkOutcome[];
}

export function failedOutcome(error: ApiError): BulkOutcome {
  return { code: error.code, status: error.toStatus() };
}

/** POST /api/v1/nodes/NAME/presence: the agent is there. */
export interface PresenceRequest {
  /** Names this run of the agent. */
  session: string;
  /** True once per session: announce, after the Node object has been registered. */
  announce: boolean;
  load?: NodeLoad;
}

export interface PresenceResponse {
  /** False: the presence had expired. Everything that may run elsewhere by now must be stopped before announcing again. */
  present: boolean;
  /** Milliseconds, from when the request was sent, for which the server takes the agent as present. */
  ttlMs: number;
  /**
   * Milliseconds from one renewal to the next, as many agents want fewer of them; absent: a quarter of ttlMs. An agent keeps time for a second
   * asking within ttlMs, whatever this says (client/renewal-times.ts).
   */
  renewAfterMs?: number;
  /**
   * No other API server uses the store. While this one is down nobody can declare the agent lost, and when it starts every node has a full
   * time to live: a refused connection then counts as a renewal (docs/decisions/0003-fencing-by-time.md).
   */
  soleServer?: boolean;
}

/** Measured use of a node. */
export interface NodeLoad {
  /** Thousandths of a core in use, by tasks and everything else. */
  cpuMilli: number;
  /** Bytes in use (total less available). */
  memoryBytes: number;
  /** Processes that wait for a core: 1-minute load average. */
  loadAverage: number;
  /** Measured use per running task, by `namespace/name`. */
  tasks?: Record<string, { cpuMilli: number; memoryBytes: number }>;
}

/** GET /apis/taskplane.dev/v1/nodeloads: the newest load of each present node. */
export interface NodeLoadList {
  kind: 'NodeLoadList';
  items: { name: string; ageMs: number; load: NodeLoad }[];
}

/** The same with ?form=digest: what is in use on each present node, in columns of equal length, without its tasks. For the scheduler, which asks every few seconds. */
export interface NodeLoadDigest {
  kind: 'NodeLoadDigest';
  names: string[];
  ageMs: number[];
  cpuMilli: number[];
  memoryBytes: number[];
}

/**
 * GET /api/v1/nodes/NAME/tunnel upgrades to a WebSocket of this subprotocol. Over it the server opens streams to the
 * agent (lib/mux.ts); each is opened with a TunnelRequest in JSON. The agent answers with bytes, or refuses by resetting
 * the stream with a Status in JSON as the reason.
 */
export const tunnelProtocol = 'tunnel.taskplane.dev';

/**
 * The same, and the agent's own requests come over it, too (api/tunnel-message.ts, docs/decisions/0012-one-connection-per-agent.md). An agent
 * offers both, the better one first; a server that knows only the other takes that.
 */
export const tunnelRequestsProtocol = 'v2.tunnel.taskplane.dev';

/** Which run of which task a stream is about. */
interface TaskTarget {
  namespace: string;
  name: string;
  uid: string;
  /** The attempt asked for; the current one when absent. */
  attempt?: number;
}

export interface LogTunnelRequest extends TaskTarget {
  type: 'log';
  previous: boolean;
  follow: boolean;
  /** Only the last lines; all when absent. */
  tailLines?: number;
  /** At most so many bytes. */
  limitBytes?: number;
  /** Each line begins with its time, RFC 3339 with nanoseconds, and a space. */
  timestamps?: boolean;
  /** Only lines written since then; milliseconds since the epoch. */
  sinceMs?: number;
  /** Only lines written in the last so many seconds, by the clock of the node. */
  sinceSeconds?: number;
}

/** Which streams the client wants; frames of the others are not sent. */
export interface StreamChoice {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** A terminal: stdin and stdout share it, and there is no stderr. */
  tty: boolean;
}

/** Runs a command beside the task: same user, environment, working directory and control group. Both ways frames (api/stream-frames.ts). */
export interface ExecTunnelRequest extends TaskTarget, StreamChoice {
  type: 'exec';
  command: string[];
}

/** The running task's own output from now on, and its input where the task takes any. Both ways frames (api/stream-frames.ts). */
export interface AttachTunnelRequest extends TaskTarget, StreamChoice {
  type: 'attach';
}

/** Connects to a port of the machine's loopback interface. Both ways the bytes of the connection. */
export interface PortForwardTunnelRequest extends TaskTarget {
  type: 'port-forward';
  port: number;
}

export type TunnelRequest = LogTunnelRequest | ExecTunnelRequest | AttachTunnelRequest | PortForwardTunnelRequest;
