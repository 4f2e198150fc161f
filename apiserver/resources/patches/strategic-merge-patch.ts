// strategic-merge-patch.ts
//
// Merge patch that knows which lists are sets of named things. Which those are is a property of Go types in Kubernetes;
// here it is a table by field name, which is unambiguous for the kinds of the core group that we serve.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md

import { badRequest } from '../../../api/errors.js';
import { isMapping } from '../admission.js';

/** Lists of mappings that are merged item by item, and the field that names an item. All other lists are replaced. */
const mergeKeys: Readonly<Record<string, string>> = {
  addresses: 'type',
  conditions: 'type',
  containers: 'name',
  env: 'name',
  ownerReferences: 'uid',
  volumes: 'name',
};

/** Lists of plain values that are merged as sets. */
const sets: ReadonlySet<string> = new Set(['finalizers']);

const retainKeys = '$retainKeys';
const removeFromSet = '$deleteFromPrimitiveList/';
const elementOrder = '$setElementOrder/';

type Mapping = Record<string, unknown>;

/**
 * A new value; parts of both arguments may be in it.
 * @throws ApiError BadRequest for a directive that cannot be read
 */
export function applyStrategicMergePatch(document: unknown, patch: unknown): unknown {
  if (!isMapping(patch)) throw badRequest('a strategic merge patch must be a mapping');
  return mergeMappings(isMapping(document) ? document : {}, patch);
}

function mergeMappings(document: Mapping, patch: Mapping): Mapping {
  const directive = patch['$patch'];
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw unknownDirective(directive);
  const result: Mapping = { ...document };
  const retained = patch[retainKeys];
  if (retained !== undefined) {
    if (!Array.isArray(retained)) throw badRequest(`${retainKeys} must be a list of field names`);
    const kept = new Set<unknown>(retained);
    for (const key of Object.keys(result)) if (!kept.has(key)) delete result[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === retainKeys || key === '__proto__' || key.startsWith(elementOrder)) continue;
    if (key.startsWith(removeFromSet)) removeValues(result, key.slice(removeFromSet.length), value);
    else if (key.startsWith('$')) throw badRequest(`unknown directive ${JSON.stringify(key)} in the strategic merge patch`);
    else if (value === null) delete result[key];
    else result[key] = mergeValue(key, Object.hasOwn(result, key) ? result[key] : undefined, value);
  }
  return result;
}

function mergeValue(key: string, old: unknown, value: unknown): unknown {
  if (isMapping(value)) return mergeMappings(isMapping(old) ? old : {}, value);
  if (!Array.isArray(value)) return value;
  const mergeKey = Object.hasOwn(mergeKeys, key) ? mergeKeys[key] : undefined;
  if (mergeKey !== undefined) return mergeNamed(key, mergeKey, Array.isArray(old) ? old : [], value);
  if (sets.has(key)) return [...new Set([...(Array.isArray(old) ? (old as unknown[]) : []), ...value])];
  return value.filter((item) => !(isMapping(item) && item['$patch'] !== undefined));
}

function mergeNamed(list: string, mergeKey: string, old: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const replaces = patch.some((item) => isMapping(item) && item['$patch'] === 'replace');
  const result = replaces ? [] : [...old];
  const removed = new Set<number>();
  // Where each is: to look for it every time would take seconds for some ten thousand.
  const places = new Map<unknown, number>();
  for (const [at, item] of result.entries()) if (isMapping(item) && !places.has(item[mergeKey])) places.set(item[mergeKey], at);
  for (const item of patch) {
    if (!isMapping(item)) throw badRequest(`items of ${list} must be mappings`);
    const { $patch: directive, ...fields } = item;
    if (directive === 'replace') {
      if (Object.keys(fields).length > 0) {
        if (!places.has(fields[mergeKey])) places.set(fields[mergeKey], result.length);
        result.push(withoutDirectives(fields));
      }
      continue;
    }
    if (directive !== undefined && directive !== 'delete' && directive !== 'merge') throw unknownDirective(directive);
    const name = fields[mergeKey];
    if (name === undefined) throw badRequest(`map: ${list} does not contain declared merge key: ${mergeKey}`);
    const at = places.get(name);
    if (directive === 'delete') {
      if (at !== undefined) removed.add(at);
      places.delete(name);
    } else if (at !== undefined) {
      result[at] = mergeMappings(result[at] as Mapping, fields);
    } else {
      places.set(name, result.length);
      result.push(mergeMappings({}, fields));
    }
  }
  return result.filter((_, at) => !removed.has(at));
}

function removeValues(result: Mapping, key: string, values: unknown): void {
  if (!Array.isArray(values)) throw badRequest(`${removeFromSet}${key} must be a list`);
  const old = Object.hasOwn(result, key) ? result[key] : undefined;
  const gone = new Set<unknown>(values);
  if (Array.isArray(old)) result[key] = old.filter((item) => !gone.has(item));
}

function withoutDirectives(mapping: Mapping): Mapping {
  const { $patch: _directive, ...rest } = mapping;
  return mergeMappings({}, rest);
}

function unknownDirective(directive: unknown): Error {
  return badRequest(`unknown $patch directive ${JSON.stringify(directive)} in the strategic merge patch: expected merge, replace or delete`);
}
