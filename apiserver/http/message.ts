// message.ts: requests and replies as values. The socket (server.ts) and the in-process transport turn theirs into these.

import { stringify } from 'yaml';
import type { User } from '../resources/service.js';
import type { WatchLines } from './watch-lines.js';

export interface ServerRequest {
  method: string;
  /** Percent-encoded, without the query. */
  path: string;
  query: URLSearchParams;
  /** Lower-case names. */
  headers: Readonly<Record<string, string | undefined>>;
  /** Who asks, as authentication found; undefined when there were no credentials, or none that hold. */
  user: User | undefined;
  /** Reads the whole body, once. @throws ApiError RequestEntityTooLarge beyond `bytesMax` */
  readBody(bytesMax: number): Promise<Buffer>;
  /** Aborts when the client has gone away. */
  signal: AbortSignal;
}

export interface ServerReply {
  status: number;
  /** Lower-case names; content-length is the socket's business. */
  headers: Record<string, string | string[]>;
  /** Text, or what writes it bit by bit once the headers are out. */
  body: string | Buffer | ((output: ReplyOutput) => void | Promise<void>);
}

/** A request like the one before, but for its body: JSON text of a 200. Undefined when it has to be handled as all others. */
export type ShortWay = (body: Buffer) => { requestId: string; text: string } | undefined;

/** The API server as whoever brings requests sees it. */
export interface RequestHandler {
  handle(request: ServerRequest): Promise<ServerReply>;
  /** For requests of this user, path and headers from now on, where there is a short way. */
  shortWay?(request: ServerRequest): ShortWay | undefined;
}

/** Where a streamed reply goes. */
export interface ReplyOutput {
  /** Never blocks; what the client has not taken yet is in `bufferedBytes`. */
  write(chunk: string | Buffer): void;
  /** The same for what many connections are sent; absent where it makes no difference. The bytes must not be changed afterwards. */
  writeLines?(lines: WatchLines): void;
  readonly bufferedBytes: number;
  /** Resolves when the client has taken what was written, or has gone. */
  drained(): Promise<void>;
  end(): void;
  /** Aborts when the client goes away or the server stops; not on `end`. */
  readonly signal: AbortSignal;
}

/**
 * For a streamed reply that has no reader: what it holds (a watch, a place among the streams) is let go by its body only, which finds that
 * everybody has gone. Never rejects.
 */
export async function discardBody(body: Exclude<ServerReply['body'], string | Buffer>): Promise<void> {
  const nobody: ReplyOutput = { write: () => undefined, bufferedBytes: 0, drained: () => Promise.resolve(), end: () => undefined, signal: AbortSignal.abort() };
  try {
    await body(nobody);
  } catch {
    // Nobody to tell.
  }
}

export const jsonType = 'application/json';
export const yamlType = 'application/yaml';
/** Longer texts are not set out for people: it takes a hundred times as long as to write them, and JSON is YAML. */
const yamlLengthMax = 256 * 1024;

export function jsonReply(status: number, value: unknown, headers: Record<string, string | string[]> = {}): ServerReply {
  return textReply(status, `${JSON.stringify(value)}\n`, headers);
}

/** @param text JSON text */
export function textReply(status: number, text: string, headers: Record<string, string | string[]> = {}): ServerReply {
  return { status, headers: { 'content-type': jsonType, ...headers }, body: text };
}

/** @param text JSON text */
export function yamlReply(status: number, text: string): ServerReply {
  const body = text.length > yamlLengthMax ? text : stringify(JSON.parse(text), { version: '1.1', aliasDuplicateObjects: false });
  return { status, headers: { 'content-type': yamlType }, body };
}
