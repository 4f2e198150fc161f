// json-text.ts: a value out of JSON text, without parsing the rest.

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * The string under `key` of the mapping that opens at `opening`. Undefined when it is no string or not there.
 * @param json well-formed, as JSON.stringify writes it (no white space between tokens)
 */
export function stringIn(json: string, opening: number, key: string): string | undefined {
  const text = valueIn(json, opening, key);
  if (text?.charCodeAt(0) !== quote) return undefined;
  return text.includes('\\') ? (JSON.parse(text) as string) : ownText(text.slice(1, -1));
}

/** The text of the value under `key` of the mapping that opens at `opening`. Undefined when it is not there. @param json as for stringIn */
export function valueIn(json: string, opening: number, key: string): string | undefined {
  let at = opening + 1;
  while (json.charCodeAt(at) === quote) {
    const keyEnd = stringEnd(json, at);
    const isWanted = keyEnd - at - 2 === key.length && json.startsWith(key, at + 1);
    if (json.charCodeAt(keyEnd) !== colon) return undefined;
    at = keyEnd + 1;
    const end = valueEnd(json, at);
    if (isWanted) return json.slice(at, end);
    at = end;
    if (json.charCodeAt(at) !== comma) return undefined;
    at++;
  }
  return undefined;
}

/** A copy that does not keep the text alive that it was cut from. */
function ownText(text: string): string {
  return Buffer.from(text).toString();
}

/** Behind the closing quote of the string that opens at `at`. */
function stringEnd(json: string, at: number): number {
  for (let end = json.indexOf('"', at + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let slashes = 0;
    while (json.charCodeAt(end - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
  return json.length;
}

function valueEnd(json: string, from: number): number {
  let depth = 0;
  for (let at = from; at < json.length; ) {
    const char = json.charCodeAt(at);
    if (char === quote) {
      at = stringEnd(json, at);
      if (depth === 0) return at;
      continue;
    }
    if (char === openBrace || char === openBracket) depth++;
    else if (char === closeBrace || char === closeBracket) {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (char === comma && depth === 0) return at;
    at++;
  }
  return json.length;
}
