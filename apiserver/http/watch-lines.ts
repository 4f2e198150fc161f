// watch-lines.ts
//
// The lines of watches as bytes, once for all watchers: a change goes to thousands of connections in the same turn of the event loop, and
// encoding its text for each of them cost more than everything else that was done for it. Each line stands in its HTTP chunk already, so that a
// connection takes it as one piece, without a copy.

/** One or more lines of a watch. */
export interface WatchLines {
  /** The lines. */
  readonly bytes: Buffer;
  /** The same as a chunk of a chunked HTTP body. https://www.rfc-editor.org/rfc/rfc9112#section-7.1 */
  readonly chunk: Buffer;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** Those of this turn, by type and text of the object. They would hold every object twice if they lasted. */
const made = new Map<EventType, Map<string, WatchLines>>();

/** @param object JSON text of the event's object */
export function watchLine(type: EventType, object: string): WatchLines {
  if (made.size === 0) setImmediate(() => made.clear());
  let ofType = made.get(type);
  if (!ofType) made.set(type, (ofType = new Map()));
  let line = ofType.get(object);
  if (!line) {
    const text = `{"type":"${type}","object":${object}}\n`;
    line = framed(Buffer.byteLength(text), (into, at) => into.write(text, at));
    ofType.set(object, line);
  }
  return line;
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
