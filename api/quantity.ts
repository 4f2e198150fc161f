// quantity.ts
//
// Amounts of a resource as Kubernetes writes them: "500m", "2", "1.5Gi", "1e3".
// https://github.com/kubernetes/apimachinery/blob/master/pkg/api/resource/quantity.go
//
// Arithmetic is done in integer thousandths ("milli"), the finest unit that any resource here is counted in; anything
// finer is rounded up, as Kubernetes does. A double holds thousandths exactly up to 9e12 units (8 TiB as bytes); beyond
// that the error is below 1e-15 of the amount.

const suffixes: Record<string, number> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
};

const pattern = /^([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?[0-9]{1,3}))?$/;

export const quantityHelp =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' (e.g. '500m', '2', '1.5Gi')";

/** Thousandths of the unit, or undefined when `text` is no quantity. */
export function parseMilli(text: string | number): number | undefined {
  if (typeof text === 'number') return Number.isFinite(text) ? Math.ceil(text * 1000 - 1e-6) : undefined;
  const match = pattern.exec(text);
  if (!match) return undefined;
  const [, digits, suffix, exponent] = match;
  const scale = exponent === undefined ? suffixes[suffix ?? '']! : 10 ** Number(exponent);
  const milli = Number(digits) * scale * 1000;
  if (!Number.isFinite(milli)) return undefined;
  // Float noise such as 0.1 * 1000 = 100.00000000000001 must not round up.
  const nearest = Math.round(milli);
  return Math.abs(milli - nearest) <= Math.abs(milli) * 1e-12 ? nearest : Math.ceil(milli);
}

/** @throws Error on text that is no quantity; call it on validated objects. */
export function milliOf(text: string | number): number {
  const milli = parseMilli(text);
  if (milli === undefined) throw new Error(`not a quantity: ${JSON.stringify(text)}`);
  return milli;
}

/** Whole units, rounded up: bytes of a memory quantity. @throws Error as milliOf */
export function unitsOf(text: string | number): number {
  return Math.ceil(milliOf(text) / 1000);
}

/** The shortest decimal quantity: 1500 -> "1500m", 2000 -> "2". */
export function formatMilli(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${Math.ceil(milli)}m`;
}

/** Bytes with the largest binary suffix that divides them: 268435456 -> "256Mi". */
export function formatBytes(bytes: number): string {
  for (const suffix of ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki']) {
    const unit = suffixes[suffix]!;
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${suffix}`;
  }
  return String(bytes);
}

/** For people: thousandths of `resource` in its usual unit ("1500m", "256Mi", "3"). */
export function formatResource(resource: string, milli: number): string {
  return isBytes(resource) ? formatBytes(Math.ceil(milli / 1000)) : formatMilli(milli);
}

function isBytes(resource: string): boolean {
  return resource === 'memory' || resource === 'ephemeral-storage' || resource.startsWith('hugepages-');
}
