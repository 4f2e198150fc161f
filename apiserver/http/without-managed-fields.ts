// without-managed-fields.ts: an object's text without metadata.managedFields, for readers that have no use for who set which
// field. It is cut out of the text: making the text anew would cost more than it saves.

import type { Rendered } from '../resources/service.js';

const key = '"managedFields":';

/** Whether it is known, without the text being looked through, that the object has none. */
export function hasNoManagedFields({ objectAtHand }: Rendered): boolean {
  return objectAtHand !== undefined && objectAtHand.metadata.managedFields === undefined;
}

/** The text of the object without metadata.managedFields; everything else as it is. */
export function withoutManagedFields(rendered: Rendered): string {
  if (hasNoManagedFields(rendered)) return rendered.json;
  const { json } = rendered;
  // Nothing before it is named so: metadata is written before spec, and what else is in it holds strings, not lists, by such names.
  const start = json.indexOf(`${key}[`);
  if (start < 0 || rendered.object.metadata.managedFields === undefined) return json;
  const end = endOfList(json, start + key.length);
  if (json[start - 1] === ',') return json.slice(0, start - 1) + json.slice(end);
  return json.slice(0, start) + json.slice(json[end] === ',' ? end + 1 : end);
}

const quote = 0x22;
const backslash = 0x5c;
const opening = 0x5b;
const closing = 0x5d;

/** One past the bracket that closes the list that opens at `start`. */
function endOfList(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === quote) at = endOfString(json, at);
    else if (code === opening) depth++;
    else if (code === closing && --depth === 0) return at + 1;
  }
  return json.length;
}

/** The quote that closes the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at >= 0; at = json.indexOf('"', at + 1)) {
    let before = at - 1;
    while (json.charCodeAt(before) === backslash) before--;
    if ((at - before) % 2 === 1) return at;
  }
  return json.length;
}
