// repeated-keys.ts
//
// Keys that JSON text says twice: JSON.parse takes the last and says nothing. Looking for them costs several times as much as
// parsing, so it is done only for text that has more keys than what became of it.

/** Which keys each body said twice, by the value that became of it: for the few that do. */
const repeatedIn = new WeakMap<object, readonly string[]>();

/** Paths of the fields that the body of this value said more than once, such as `spec.args`; mostly none. */
export function repeatedFields(value: unknown): readonly string[] {
  return typeof value === 'object' && value !== null ? (repeatedIn.get(value) ?? []) : [];
}

export function noteRepeatedFields(value: unknown, fields: readonly string[]): void {
  if (fields.length > 0 && typeof value === 'object' && value !== null) repeatedIn.set(value, fields);
}

/** How many keys all mappings in the value have; it nests no deeper than the stack holds. */
export function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') count += countKeys(item);
    return count;
  }
  for (const key in value) {
    count++;
    const child = (value as Record<string, unknown>)[key];
    if (typeof child === 'object') count += countKeys(child);
  }
  return count;
}

const shownMax = 100;

interface Level {
  /** Keys seen in a mapping; undefined for a list. */
  readonly keys: Set<string> | undefined;
  /** The key or index that is being read. */
  at: string | number;
}

/** @param text valid JSON */
export function findRepeatedKeys(text: string): string[] {
  const found = new Set<string>();
  const levels: Level[] = [];
  for (let at = 0; at < text.length && found.size < shownMax; at++) {
    const level = levels[levels.length - 1];
    switch (text[at]) {
      case '{':
        levels.push({ keys: new Set(), at: '' });
        break;
      case '[':
        levels.push({ keys: undefined, at: 0 });
        break;
      case '}':
      case ']':
        levels.pop();
        break;
      case ',':
        if (level && typeof level.at === 'number') level.at++;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (level?.keys && nextSolid(text, end + 1) === ':') {
          const key = JSON.parse(text.slice(at, end + 1)) as string;
          level.at = key;
          if (level.keys.has(key)) found.add(pathOf(levels));
          level.keys.add(key);
        }
        at = end;
        break;
      }
    }
  }
  return [...found];
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; text[at] !== '"'; at++) if (text[at] === '\\') at++;
  return at;
}

function nextSolid(text: string, from: number): string | undefined {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at];
}

function pathOf(levels: readonly Level[]): string {
  let path = '';
  for (const { at } of levels) path += typeof at === 'number' ? `[${at}]` : path === '' ? at : `.${at}`;
  return path;
}
