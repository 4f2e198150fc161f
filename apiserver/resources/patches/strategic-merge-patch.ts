// strategic-merge-patch.ts
//
// Merge patch that knows which lists are sets of named things. Which those are is a property of Go types in Kubernetes;
// here it is a table by field name, which is unambiguous for the kinds of the core group that we serve.
//
//   $patch                       in a mapping: replace, delete or merge it; in an item of a list: delete it, replace the list
//   $retainKeys                  all other fields of the mapping go
//   $setElementOrder/LIST        the order of the merged list, items that the patch leaves alone among them
//   $deleteFromPrimitiveList/LIST  values to take out of a set
//
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md

import { ApiError, badRequest } from '../../../api/errors.js';
import { isMapping } from '../admission.js';
import { follows, ordered } from './element-order.js';

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
 * @throws ApiError BadRequest for a directive that cannot be read, Invalid for lists of lists
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
  retainOnly(result, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === retainKeys || key === '__proto__') continue;
    if (key.startsWith(elementOrder)) orderUntouched(result, key.slice(elementOrder.length), value, patch);
    else if (key.startsWith(removeFromSet)) removeValues(result, key.slice(removeFromSet.length), value);
    else if (key.startsWith('$')) throw badRequest(`unknown directive ${JSON.stringify(key)} in the strategic merge patch`);
    else if (value === null) delete result[key];
    else result[key] = mergeValue(key, Object.hasOwn(result, key) ? result[key] : undefined, value, patch[`${elementOrder}${key}`]);
  }
  return result;
}

/** Everything else in the patch must be among what it retains. */
function retainOnly(result: Mapping, patch: Mapping): void {
  const retained = patch[retainKeys];
  if (retained === undefined) return;
  const kept = new Set<unknown>(Array.isArray(retained) ? retained : []);
  const stray = Object.keys(patch).find((key) => !key.startsWith('$') && patch[key] !== null && !kept.has(key));
  if (!Array.isArray(retained) || stray !== undefined) throw badRequest(`invalid patch format of retainKeys${stray === undefined ? '' : `: ${stray} is in the patch, but not in ${retainKeys}`}`);
  for (const key of Object.keys(result)) if (!kept.has(key)) delete result[key];
}

function mergeValue(key: string, old: unknown, value: unknown, order: unknown): unknown {
  if (isMapping(value)) return mergeMappings(isMapping(old) ? old : {}, value);
  if (!Array.isArray(value)) return value;
  const before = Array.isArray(old) ? (old as unknown[]) : [];
  const mergeKey = mergeKeyOf(key);
  if (mergeKey !== undefined) {
    const patched = value.filter((item) => !(isMapping(item) && item['$patch'] !== undefined));
    return inOrder(key, mergeNamed(key, mergeKey, before, value), patched, before, order);
  }
  if (sets.has(key)) return inOrder(key, [...new Set([...before, ...value])], value, before, order);
  if (value.some(Array.isArray)) throw unprocessable('lists of lists are not supported');
  return value.filter((item) => !(isMapping(item) && item['$patch'] !== undefined));
}

function mergeKeyOf(list: string): string | undefined {
  return Object.hasOwn(mergeKeys, list) ? mergeKeys[list] : undefined;
}

/** @param order the order directive, if there is one; else the patch's own list says it */
function inOrder(list: string, merged: readonly unknown[], patched: readonly unknown[], before: readonly unknown[], order: unknown): unknown[] {
  const identityOf = identifier(list);
  const mentioned = patched.map(identityOf);
  const wanted = order === undefined || order === null ? mentioned : wantedOrder(list, order);
  if (wanted.length > 0 && !follows(mentioned, wanted)) throw badRequest(`The order in patch list:\n${JSON.stringify(mentioned)}\n doesn't match ${elementOrder}${list} list:\n${JSON.stringify(wanted)}`);
  return ordered(merged, identityOf, wanted, before.map(identityOf));
}

/** For a list of which the patch says nothing but its order. */
function orderUntouched(result: Mapping, list: string, order: unknown, patch: Mapping): void {
  const wanted = wantedOrder(list, order);
  const old = result[list];
  if (Object.hasOwn(patch, list) || !Array.isArray(old) || (mergeKeyOf(list) === undefined && !sets.has(list))) return;
  const identityOf = identifier(list);
  result[list] = ordered(old as unknown[], identityOf, wanted, old.map(identityOf));
}

function wantedOrder(list: string, order: unknown): unknown[] {
  if (!Array.isArray(order)) throw badRequest('invalid patch format of setElementOrder list');
  return order.map(identifier(list));
}

function identifier(list: string): (item: unknown) => unknown {
  const mergeKey = mergeKeyOf(list);
  return mergeKey === undefined ? (item) => item : (item) => (isMapping(item) ? item[mergeKey] : item);
}

function mergeNamed(list: string, mergeKey: string, old: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const replaces = patch.some((item) => isMapping(item) && item['$patch'] === 'replace');
  const result = replaces ? [] : [...old];
  const removed = new Set<number>();
  // Where each is: to look for it every time would take seconds for some ten thousand.
  const places = new Map<unknown, number>();
  for (const [at, item] of result.entries()) if (isMapping(item) && !places.has(item[mergeKey])) places.set(item[mergeKey], at);
  for (const item of patch) {
    if (Array.isArray(item)) throw unprocessable('lists of lists are not supported');
    if (!isMapping(item)) throw badRequest(`items of ${list} must be mappings`);
    const { $patch: directive, ...fields } = item;
    if (directive === 'replace') continue;
    if (directive !== undefined && directive !== 'delete' && directive !== 'merge') throw unknownDirective(directive);
    const name = fields[mergeKey];
    if (name === undefined || name === null) throw badRequest(`map: ${list} does not contain declared merge key: ${mergeKey}`);
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
  if (!Array.isArray(values)) throw badRequest('invalid patch format of primitive list');
  const old = Object.hasOwn(result, key) ? result[key] : undefined;
  const gone = new Set<unknown>(values);
  if (Array.isArray(old)) result[key] = old.filter((item) => !gone.has(item));
}

function withoutDirectives(mapping: Mapping): Mapping {
  const { $patch: _directive, ...rest } = mapping;
  return mergeMappings({}, rest);
}

function unknownDirective(directive: unknown): Error {
  return badRequest(`unknown patch type: ${JSON.stringify(directive)} in the strategic merge patch: expected merge, replace or delete`);
}

function unprocessable(message: string): ApiError {
  return new ApiError('Invalid', message);
}
