// json-path.ts
//
// Paths into JSON in the dialect of kubectl, as printer columns have them.
//
//   .spec.replicas  ['a.b']  .a\.b  [0]  [-1]  [0:2]  [*]  .*  ..name  [0,2]  ['a','b']
//   [?(@.type=="Ready")]  [?(@.port>80)]  [?(@.name)]
//
// https://kubernetes.io/docs/reference/kubectl/jsonpath/

type Step =
  | { do: 'field'; name: string }
  | { do: 'all' }
  | { do: 'deep' }
  | { do: 'slice'; start: number | undefined; end: number | undefined; step: number }
  | { do: 'index'; index: number }
  | { do: 'union'; steps: readonly Step[] }
  | { do: 'filter'; left: Operand; compare: Comparison | undefined; right: Operand | undefined };

type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';
type Operand = { path: readonly Step[]; fromRoot: boolean } | { value: unknown };

/** Every value found, in the order of the document. Never throws. */
export type JsonPath = (value: unknown) => unknown[];

export class JsonPathError extends Error {
  override readonly name = 'JsonPathError';
}

/** Longer paths are nobody's, and nest deeper than the stack. */
const lengthMax = 4096;

/**
 * @param text a path; braces around it, as kubectl takes it on its command line, are left out
 * @throws JsonPathError which says what is expected, and where
 */
export function parseJsonPath(text: string): JsonPath {
  if (text.length > lengthMax) throw new JsonPathError(`a path of more than ${lengthMax} characters`);
  const inner = /^\{(.*)\}$/s.exec(text)?.[1] ?? text;
  const reader = new Reader(inner);
  const steps = reader.steps();
  if (!reader.atEnd()) throw reader.expected('. or [');
  return (value) => find(steps, [value], { root: value, left: looksMax });
}

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  atEnd(): boolean {
    return this.#at >= this.text.length;
  }

  expected(what: string): JsonPathError {
    return new JsonPathError(`expected ${what} at ${this.#at + 1} of ${JSON.stringify(this.text)}`);
  }

  steps(): Step[] {
    const steps: Step[] = [];
    this.#take(/[$@]/y);
    for (;;) {
      if (this.#take(/\.\./y)) {
        steps.push({ do: 'deep' });
        if (!this.#sees('[')) steps.push(this.#name());
      } else if (this.#sees('.')) {
        this.#at++;
        // The path `.` is the whole.
        if (this.atEnd() && steps.length === 0) return steps;
        if (!this.#sees('[')) steps.push(this.#name());
      } else if (this.#sees('[')) {
        this.#at++;
        steps.push(this.#bracket());
      } else {
        return steps;
      }
    }
  }

  #name(): Step {
    if (this.#take(/\*/y)) return { do: 'all' };
    const name = this.#take(/(?:\\.|[^\s.[\](){}\\,=<>!?@'"*])+/sy);
    if (!name) throw this.expected('a name');
    return { do: 'field', name: name.replace(/\\(.)/gs, '$1') };
  }

  #bracket(): Step {
    this.#space();
    if (this.#take(/\?\(/y)) return this.#filter();
    const steps: Step[] = [];
    do {
      this.#space();
      steps.push(this.#selector());
      this.#space();
    } while (this.#take(/,/y));
    this.#need(']');
    return steps.length === 1 ? steps[0]! : { do: 'union', steps };
  }

  #selector(): Step {
    if (this.#take(/\*/y)) return { do: 'all' };
    const quoted = this.#quoted();
    if (quoted !== undefined) return { do: 'field', name: quoted };
    const range = this.#take(/-?\d*:-?\d*(?::-?\d*)?/y);
    if (range) {
      const [start, end, step] = range.split(':').map((part) => (part ? Number(part) : undefined));
      if (step !== undefined && step < 1) throw this.expected('a step above 0');
      return { do: 'slice', start, end, step: step ?? 1 };
    }
    const number = this.#take(/-?\d+/y);
    if (number === undefined) throw this.expected('a number, a quoted name, * or ?(');
    return { do: 'index', index: Number(number) };
  }

  #filter(): Step {
    const left = this.#operand();
    this.#space();
    const compare = this.#take(/==|!=|<=|>=|<|>/y) as Comparison | undefined;
    this.#space();
    const right = compare ? this.#operand() : undefined;
    this.#space();
    this.#need(')');
    this.#need(']');
    return { do: 'filter', left, compare, right };
  }

  #operand(): Operand {
    this.#space();
    if (this.#sees('@') || this.#sees('$') || this.#sees('.')) {
      const fromRoot = this.#sees('$');
      return { path: this.steps(), fromRoot };
    }
    const quoted = this.#quoted();
    if (quoted !== undefined) return { value: quoted };
    const word = this.#take(/-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null/y);
    if (word === undefined) throw this.expected('@, a number, a quoted text, true, false or null');
    return { value: JSON.parse(/^-?0\d/.test(word) ? String(Number(word)) : word) as unknown };
  }

  #quoted(): string | undefined {
    const text = this.#take(/'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/sy);
    return text?.slice(1, -1).replace(/\\(.)/gs, '$1');
  }

  #space(): void {
    this.#take(/\s+/y);
  }

  #need(text: string): void {
    if (!this.#sees(text)) throw this.expected(text);
    this.#at += text.length;
  }

  #sees(text: string): boolean {
    return this.text.startsWith(text, this.#at);
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found) this.#at += found.length;
    return found || undefined;
  }
}

/**
 * Values that one evaluation looks at, some tens of milliseconds: several `..` in one path, or one in a filter, look at more
 * than there is, and tables show thousands of objects. What is found by then is the answer.
 */
const looksMax = 200_000;

interface Search {
  readonly root: unknown;
  /** Looks. */
  left: number;
}

function find(steps: readonly Step[], values: unknown[], search: Search): unknown[] {
  let found = values;
  for (const step of steps) {
    const next: unknown[] = [];
    for (const value of found) {
      if (--search.left < 0) break;
      for (const item of take(step, value, search)) next.push(item);
    }
    found = next;
  }
  return found;
}

function take(step: Step, value: unknown, search: Search): unknown[] {
  switch (step.do) {
    case 'field':
      return isObject(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
    case 'all':
      return spent(search, childrenOf(value));
    case 'deep':
      return withDescendants(value, search);
    case 'index':
      return Array.isArray(value) && value.at(step.index) !== undefined ? [value.at(step.index)] : [];
    case 'slice':
      return Array.isArray(value) ? spent(search, value.slice(step.start, step.end)).filter((_, index) => index % step.step === 0) : [];
    case 'union':
      return step.steps.flatMap((each) => take(each, value, search));
    case 'filter':
      return childrenOf(value).filter((item) => --search.left >= 0 && passes(step, item, search));
  }
}

/** Several at once may go one step too far, not many times. */
function spent(search: Search, values: unknown[]): unknown[] {
  if (search.left < 0) return [];
  search.left -= values.length;
  return values;
}

function passes({ left, compare, right }: Extract<Step, { do: 'filter' }>, item: unknown, search: Search): boolean {
  const ofLeft = valuesOf(left, item, search);
  if (!compare || !right) return ofLeft.length > 0;
  const ofRight = valuesOf(right, item, search);
  return ofLeft.length > 0 && ofRight.length > 0 && holds(ofLeft[0], compare, ofRight[0]);
}

function valuesOf(operand: Operand, item: unknown, search: Search): unknown[] {
  return 'value' in operand ? [operand.value] : find(operand.path, [operand.fromRoot ? search.root : item], search);
}

function holds(a: unknown, compare: Comparison, b: unknown): boolean {
  if (compare === '==') return a === b;
  if (compare === '!=') return a !== b;
  const comparable = (typeof a === 'number' && typeof b === 'number') || (typeof a === 'string' && typeof b === 'string');
  if (!comparable) return false;
  const [left, right] = [a as number, b as number];
  if (compare === '<') return left < right;
  if (compare === '<=') return left <= right;
  return compare === '>' ? left > right : left >= right;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function childrenOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
}

function withDescendants(value: unknown, search: Search): unknown[] {
  const all: unknown[] = [];
  const waiting: unknown[] = [value];
  while (waiting.length > 0 && --search.left >= 0) {
    const next = waiting.pop();
    all.push(next);
    for (const child of childrenOf(next).toReversed()) waiting.push(child);
  }
  return all;
}
