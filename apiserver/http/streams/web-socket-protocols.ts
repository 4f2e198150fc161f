// web-socket-protocols.ts
//
// The WebSocket subprotocols of Kubernetes' streams. One message is one piece of one channel: its first byte is the number
// of the channel, in the base64 forms a digit. Since v4 the last word is a Status in JSON, since v5 channels can be closed one by one.
// https://kubernetes.io/docs/reference/using-api/ (remotecommand and port-forward)

import { channels } from '../../../api/stream-frames.js';

export interface ChannelProtocol {
  /** As it was negotiated; undefined when the client named none. */
  name: string | undefined;
  base64: boolean;
  jsonStatus: boolean;
  canClose: boolean;
}

/** SPDY/3.1 in the messages of a WebSocket: how kubectl forwards ports since 1.31. */
export const tunnelledSpdy = 'SPDY/3.1+portforward.k8s.io';

/** The best first. */
export const channelProtocols: readonly ChannelProtocol[] = [
  { name: 'v5.channel.k8s.io', base64: false, jsonStatus: true, canClose: true },
  { name: 'v4.channel.k8s.io', base64: false, jsonStatus: true, canClose: false },
  { name: 'v4.base64.channel.k8s.io', base64: true, jsonStatus: true, canClose: false },
  { name: 'v3.channel.k8s.io', base64: false, jsonStatus: false, canClose: false },
  { name: 'v2.channel.k8s.io', base64: false, jsonStatus: false, canClose: false },
  { name: 'channel.k8s.io', base64: false, jsonStatus: false, canClose: false },
  { name: 'base64.channel.k8s.io', base64: true, jsonStatus: false, canClose: false },
];

const unnamed: ChannelProtocol = { name: undefined, base64: false, jsonStatus: false, canClose: false };

/** Undefined when the client offers others only. @param offered none: the oldest clients name no protocol */
export function chooseProtocol(offered: readonly string[]): ChannelProtocol | undefined {
  return offered.length === 0 ? unnamed : channelProtocols.find(({ name }) => offered.includes(name!));
}

export function encodeMessage(protocol: ChannelProtocol, channel: number, data: Buffer): Buffer | string {
  return protocol.base64 ? `${channel}${data.toString('base64')}` : Buffer.concat([Buffer.of(channel), data]);
}

export interface ChannelMessage {
  channel: number;
  data: Buffer;
}

/** Undefined for a message that says nothing. */
export function decodeMessage(protocol: ChannelProtocol, message: Buffer): ChannelMessage | undefined {
  const first = message[0];
  if (first === undefined) return undefined;
  const data = message.subarray(1);
  if (protocol.base64) return { channel: first - 48, data: Buffer.from(data.toString('latin1'), 'base64') };
  if (first === channels.close && !protocol.canClose) return undefined;
  return { channel: first, data };
}
