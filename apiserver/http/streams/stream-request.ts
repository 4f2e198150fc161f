// stream-request.ts
//
// What a client asks for that opens exec, attach or port-forward, and where that leads. Pure. Messages are those of
// Kubernetes (kubectl's own where only kubectl refuses there), because people search for them.

import { badRequest } from '../../../api/errors.js';
import type { KindDefinition } from '../../../api/kind.js';
import { podContainerName, podKind } from '../../../api/pod.js';
import type { StreamChoice } from '../../../api/protocol.js';
import { isFinished, taskKind, type Task } from '../../../api/task.js';
import { flag } from '../query.js';
import type { ResourceRoute } from '../route.js';

export const streamSubresources = ['exec', 'attach', 'portforward'] as const;
export type StreamSubresource = (typeof streamSubresources)[number];

export interface StreamRequest {
  /** Pod or Task: what errors call it. */
  kind: KindDefinition;
  namespace: string;
  name: string;
  subresource: StreamSubresource;
}

/** Undefined for any other path. */
export function streamRequestOf(route: ResourceRoute): StreamRequest | undefined {
  const kind = ([podKind, taskKind] as unknown as KindDefinition[]).find(({ group, version, plural }) => group === route.group && version === route.version && plural === route.plural);
  const subresource = streamSubresources.find((known) => known === route.subresource);
  if (!kind || !subresource || route.namespace === undefined || route.name === undefined) return undefined;
  return { kind, namespace: route.namespace, name: route.name, subresource };
}

export interface CommandOptions extends StreamChoice {
  /** Empty for attach. */
  command: string[];
}

/** @throws ApiError BadRequest */
export function commandOptions({ name, subresource }: StreamRequest, query: URLSearchParams): CommandOptions {
  const container = query.get('container');
  if (container && container !== podContainerName) throw badRequest(`container ${container} is not valid for pod ${name}`);
  const tty = flag(query, 'tty');
  const options = {
    command: subresource === 'exec' ? query.getAll('command') : [],
    stdin: flag(query, 'stdin'),
    stdout: flag(query, 'stdout'),
    // A terminal has one output.
    stderr: flag(query, 'stderr') && !tty,
    tty,
  };
  if (!options.stdin && !options.stdout && !options.stderr) throw badRequest('you must specify at least 1 of stdin, stdout, stderr');
  if (subresource === 'exec' && (options.command.length === 0 || options.command[0] === '')) throw badRequest('you must specify at least one command for the container');
  if (options.command.some((word) => word.includes('\0'))) throw badRequest('a command cannot hold the byte 0');
  return options;
}

/** Ports of a port-forward that names them in its URL; kubectl names them stream by stream. @throws ApiError BadRequest */
export function forwardedPorts(query: URLSearchParams): number[] {
  const texts = [...query.getAll('ports'), ...query.getAll('port')].flatMap((value) => value.split(',')).filter((value) => value !== '');
  if (texts.length === 0) throw badRequest('query parameter "port" is required');
  if (texts.length > portsMax) throw badRequest(`at most ${portsMax} ports can be forwarded over one connection`);
  return texts.map((text) => {
    const port = portOf(text);
    if (port === undefined) throw badRequest(`unable to parse ${JSON.stringify(text)} as a port: it must be a number from 1 to 65535`);
    return port;
  });
}

/** Two channels each, numbered in one byte, and 255 has a meaning of its own. */
const portsMax = 100;

export function portOf(text: string): number | undefined {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/**
 * The node whose agent has the task's process.
 * @throws ApiError BadRequest when no process of it runs
 */
export function nodeOfRunning(task: Task, { kind, name, subresource }: StreamRequest): string {
  const { phase = 'Pending', nodeName } = task.status ?? {};
  const what = kind.singular;
  if (isFinished(task)) {
    if (subresource === 'portforward') throw badRequest(`unable to forward port because ${what} is not running. Current status=${phase}`);
    throw badRequest(`cannot ${subresource === 'exec' ? 'exec into' : 'attach'} a container in a completed ${what}; current phase is ${phase}`);
  }
  if (!nodeName) throw badRequest(`${what} ${name} does not have a host assigned`);
  if (phase !== 'Running') {
    if (subresource === 'portforward') throw badRequest(`unable to forward port because ${what} is not running. Current status=${phase}`);
    throw badRequest(`container "${podContainerName}" in ${what} "${name}" is waiting to start: ${phase}`);
  }
  return nodeName;
}
