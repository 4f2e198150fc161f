// watch-lines.ts
//
// The lines of watches as bytes, once for all watchers: a change goes to thousands of connections in the same turn of the event loop, and
// encoding its text for each of them cost more than everything else that was done for it. Each line stands in its HTTP chunk already, so that a
// connection takes it as one piece, without a copy.

import type { Rendered } from '../resources/service.js';

/** One or more lines of a watch. */
export interface WatchLines {
  /** The lines. */
  readonly bytes: Buffer;
  /** The same as a chunk of a chunked HTTP body. https://www.rfc-editor.org/rfc/rfc9112#section-7.1 */
  readonly chunk: Buffer;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** JSON text that can be written without being made. */
export type WritableJson = Required<Pick<Rendered, 'jsonBytes' | 'writeJson'>>;

/** JSON text of an event's object. */
export type EventObject = string | WritableJson;

export function isWritable(rendered: Partial<WritableJson>): rendered is WritableJson {
  return rendered.writeJson !== undefined;
}

/** Those of this turn, by type and object: its text, or the one instance that every watcher is told of. They would hold every object twice if they lasted. */
const made = new Map<EventType, Map<EventObject, WatchLines>>();

export function watchLine(type: EventType, object: EventObject): WatchLines {
  if (made.size === 0) setImmediate(() => made.clear());
  let ofType = made.get(type);
  if (!ofType) made.set(type, (ofType = new Map()));
  let line = ofType.get(object);
  if (!line) {
    line = typeof object === 'string' ? lineOfText(type, object) : writtenLine(type, object);
    ofType.set(object, line);
  }
  return line;
}

function lineOfText(type: EventType, object: string): WatchLines {
  const text = `${opening(type)}${object}${closing}`;
  return framed(Buffer.byteLength(text), (into, at) => into.write(text, at));
}

function writtenLine(type: EventType, object: WritableJson): WatchLines {
  const before = opening(type);
  const { jsonBytes } = object;
  return framed(before.length + jsonBytes + closing.length, (into, at) => {
    into.write(before, at, 'latin1');
    object.writeJson(into, at + before.length);
    into.write(closing, at + before.length + jsonBytes, 'latin1');
  });
}

const closing = '}\n';

function opening(type: EventType): string {
  return `{"type":"${type}","object":`;
}

/** Lines that go out together, as one chunk: who reads it takes them in one turn, too. */
export function joined(lines: readonly WatchLines[]): WatchLines {
  if (lines.length === 1) return lines[0]!;
  let size = 0;
  for (const { bytes } of lines) size += bytes.length;
  return framed(size, (into, start) => {
    let at = start;
    for (const { bytes } of lines) at += bytes.copy(into, at);
  });
}

function framed(size: number, fill: (into: Buffer, at: number) => void): WatchLines {
  const head = `${size.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(head.length + size + 2);
  chunk.write(head, 'latin1');
  fill(chunk, head.length);
  chunk.write('\r\n', head.length + size, 'latin1');
  return { bytes: chunk.subarray(head.length, head.length + size), chunk };
}
