// capacity.ts: how large nodes are made, so that all tasks of a case fit on them with room to choose from, and how many API
// servers they need.

import { parseMilli } from '../../../api/quantity.js';
import type { TaskSpec } from '../../../api/task.js';

type Requests = NonNullable<NonNullable<TaskSpec['resources']>['requests']>;

/** Requests as in a mixed cluster; tasks have them in turn. */
export const requestsInTurn: readonly Readonly<Record<'cpu' | 'memory', string>>[] = [
  { cpu: '100m', memory: '128Mi' },
  { cpu: '250m', memory: '512Mi' },
  { cpu: '500m', memory: '1Gi' },
  { cpu: '100m', memory: '2Gi' },
];

/** A node of a small cluster has at least this. */
const coresMin = 8;
const gibibytesMin = 32;
const tasksMin = 110;
/** So much more than what is asked for in all: a scheduler that has to search for the last free node is another measurement. */
const spare = 2;
const gibibyte = 2 ** 30;

/**
 * The capacity of each of `nodes` nodes that together hold `tasks` tasks of the given requests, in turn, twice over.
 * @throws Error when there is no node
 */
export function capacityFor(nodes: number, tasks: number, requests: readonly Requests[] = requestsInTurn): { cpu: string; memory: string; tasks: string } {
  if (nodes < 1) throw new Error(`${tasks} tasks do not fit on ${nodes} nodes`);
  const perNode = Math.ceil((tasks * spare) / nodes);
  const most = (resource: string): number => requests.reduce((max, request) => Math.max(max, parseMilli(request[resource] ?? '0')! / 1_000), 0);
  return {
    cpu: String(Math.max(coresMin, Math.ceil(perNode * most('cpu')))),
    memory: `${Math.max(gibibytesMin, Math.ceil((perNode * most('memory')) / gibibyte))}Gi`,
    tasks: String(Math.max(tasksMin, perNode)),
  };
}

/** Descriptors of an API server beside those of its agents: its store, its other clients, its own files. */
const otherDescriptors = 200;

/**
 * How many API servers the agents of a case need, by the descriptors that a process may have here.
 * @throws Error in a sentence, when there may be one only and it is not enough
 */
export function serversFor(agents: number, connectionsPerAgent: number, descriptorsMax: number, onlyOne: boolean): number {
  const perServer = Math.floor((descriptorsMax - otherDescriptors) / connectionsPerAgent);
  const servers = Math.max(1, Math.ceil(agents / perServer));
  if (servers > 1 && onlyOne) throw new Error(`${agents} agents do not fit: they keep ${connectionsPerAgent} connections each, a process may have ${descriptorsMax} descriptors on this machine (ulimit -Hn), and the embedded store has one API server only; at most ${perServer} fit`);
  return servers;
}

/** The hard limit in the text of /proc/PID/limits: Node raises its own soft limit to it. */
export function descriptorsMaxIn(limits: string): number {
  return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
}
