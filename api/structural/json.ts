// json.ts: small words about JSON values, shared by everything that walks a schema and a value together.

export type Mapping = Record<string, unknown>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A private copy of JSON data. */
export function copyOf<T>(value: T): T {
  return typeof value === 'object' && value !== null ? (JSON.parse(JSON.stringify(value)) as T) : value;
}

/** One text per value, whatever the order of its keys: two values are equal when their texts are. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (isMapping(value)) return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
  return JSON.stringify(value) ?? 'null';
}

/** How Kubernetes writes the path of the object as a whole. */
export const rootPath = '<nil>';

/** A field: `spec` in the root, `spec.name` below. */
export function childPath(path: string, key: string): string {
  return path === '' || path === rootPath ? key : `${path}.${key}`;
}

/** A key of a mapping whose keys are data: `spec.labels[app]`. */
export function keyPath(path: string, key: string | number): string {
  return `${path === rootPath ? '' : path}[${key}]`;
}
