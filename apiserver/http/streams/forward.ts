// forward.ts: one forwarded connection, between a client and the stream to the agent that has connected to the port.

import type { PortForwardTunnelRequest } from '../../../api/protocol.js';
import type { MuxStream } from '../../../lib/mux.js';
import { statusOfReset } from './command-status.js';

/** What a client forwards to. */
export interface ForwardTarget {
  namespace: string;
  name: string;
  uid: string;
  /** A new connection to the port. @throws ApiError when the agent is not connected */
  connect(port: number): MuxStream;
}

export function forwardRequest(task: { namespace: string; name: string; uid: string }, port: number): PortForwardTunnelRequest {
  const { namespace, name, uid } = task;
  return { type: 'port-forward', namespace, name, uid, port };
}

/**
 * Copies what the port says until it has ended.
 * @returns what to tell the client: why there was no connection. Once it has stood, its end is all there is to say: kubectl takes every
 * word for the end of all connections.
 */
export async function relayReplies(agent: MuxStream, write: (data: Buffer) => Promise<void>): Promise<string | undefined> {
  let stood = false;
  let left = false;
  try {
    for await (const data of agent) {
      stood = true;
      await write(data).catch((error: unknown) => {
        left = true;
        throw error;
      });
    }
    return undefined;
  } catch (error) {
    return stood || left ? undefined : (statusOfReset(error).message ?? 'the agent refused');
  }
}

/** As the kubelet words it. */
export function forwardingError({ name, uid }: ForwardTarget, port: number, why: string): Buffer {
  return Buffer.from(`error forwarding port ${port} to pod ${name}, uid ${uid}: ${why}`);
}
