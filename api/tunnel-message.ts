// tunnel-message.ts
//
// HTTP requests of an agent over its tunnel, and the answers: a line of JSON (the head), then the body as it is. A request that changes
// something is a call with its answer (one message each); one that reads is a stream that the agent opens, whose bytes are the answer.

/** Longer bodies go over connections of their own: they would hold up everything behind them. */
export const tunnelBodyBytesMax = 64 * 1024;

export interface TunnelRequestHead {
  method: string;
  /** As in the first line of an HTTP request: percent-encoded, with the query. */
  url: string;
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>;
}

export interface TunnelReplyHead {
  status: number;
  /** Lower-case names. */
  headers: Readonly<Record<string, string | string[]>>;
}

const newline = 10;

export function encodeMessage(head: TunnelRequestHead | TunnelReplyHead, body: string | Buffer = ''): Buffer {
  const text = `${JSON.stringify(head)}\n`;
  return typeof body === 'string' ? Buffer.from(text + body) : Buffer.concat([Buffer.from(text), body]);
}

/** @returns undefined where the head has not ended yet. @throws SyntaxError for a head that is not JSON */
export function decodeMessage(message: Buffer): { head: unknown; body: Buffer } | undefined {
  const end = message.indexOf(newline);
  if (end < 0) return undefined;
  return { head: JSON.parse(message.toString('utf8', 0, end)) as unknown, body: message.subarray(end + 1) };
}

export function isRequestHead(head: unknown): head is TunnelRequestHead {
  const { method, url, headers } = (head ?? {}) as Partial<TunnelRequestHead>;
  return typeof method === 'string' && typeof url === 'string' && typeof headers === 'object' && headers !== null && Object.values(headers).every((value) => typeof value === 'string');
}

export function isReplyHead(head: unknown): head is TunnelReplyHead {
  const { status, headers } = (head ?? {}) as Partial<TunnelReplyHead>;
  return typeof status === 'number' && typeof headers === 'object' && headers !== null;
}
