// entries.ts
//
// metadata.managedFields: who set which fields. One entry per manager, operation, subresource and, for updates, apiVersion.
// The order, the cap and the messages are those of Kubernetes.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management

import { dequal } from 'dequal';
import { invalidValue, required, type FieldProblem } from '../../../api/errors.js';
import { timestamp, type KubeObject, type ManagedFieldsEntry } from '../../../api/meta.js';
import { isMapping } from '../admission.js';
import { canonical, emptySet, equalSets, isEmptySet, parseFieldSet, unionOf, type FieldSet } from './field-set.js';

/** An entry that has been looked through: what the server stores. */
export interface ManagerEntry {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly time?: string;
  readonly fieldsType: 'FieldsV1';
  readonly fieldsV1: FieldSet;
  readonly subresource?: string;
}

/** Entries by identity; a working copy of metadata.managedFields. */
export type Managers = Map<string, ManagerEntry>;

/** Who writes, and when (milliseconds since the epoch). */
export interface Writer {
  readonly manager: string;
  readonly subresource?: string;
  readonly now: number;
}

/** What of another manager an apply would change. */
export interface Conflict {
  readonly entry: ManagerEntry;
  readonly fields: FieldSet;
}

const managerLengthMax = 128;
const subresourceLengthMax = 256;
/** Entries of updates that an object keeps; the oldest are put together beyond it. */
const updatersMax = 10;
const oldUpdatesManager = 'ancient-changes';

/** An applier is the same whatever version it applies. */
export function identityOf({ manager, operation, apiVersion, subresource }: Pick<ManagerEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  return JSON.stringify([manager, operation, operation === 'Update' ? apiVersion : '', subresource ?? '']);
}

export function newEntry(writer: Writer, operation: ManagerEntry['operation'], apiVersion: string, fieldsV1: FieldSet): ManagerEntry {
  const { manager, subresource, now } = writer;
  return { manager, operation, apiVersion, time: timestamp(now), fieldsType: 'FieldsV1', fieldsV1, ...(subresource ? { subresource } : {}) };
}

/** The entries of a stored object. */
export function managersOf(object: KubeObject | undefined): Managers {
  return byIdentity((object?.metadata.managedFields ?? []) as ManagerEntry[]);
}

function byIdentity(entries: readonly ManagerEntry[]): Managers {
  return new Map(entries.map((entry) => [identityOf(entry), entry]));
}

/**
 * For the object: sorted, without managers of nothing; undefined when there are none.
 * @param stored entries that are in order already
 */
export function encoded(managers: Managers, stored: readonly ManagedFieldsEntry[] = []): ManagedFieldsEntry[] | undefined {
  const asBefore = new Set<ManagedFieldsEntry>(stored);
  const entries = [...managers.values()].filter(({ fieldsV1 }) => !isEmptySet(fieldsV1)).toSorted(byTime);
  return entries.length > 0 ? entries.map((entry) => (asBefore.has(entry) ? entry : { ...entry, fieldsV1: canonical(entry.fieldsV1) })) : undefined;
}

function byTime(a: ManagerEntry, b: ManagerEntry): number {
  return (
    compareTexts(a.operation, b.operation) ||
    compareTexts(a.time ?? '', b.time ?? '') ||
    compareTexts(a.manager, b.manager) ||
    compareTexts(a.apiVersion, b.apiVersion) ||
    compareTexts(a.subresource ?? '', b.subresource ?? '')
  );
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether both say the same of the same managers, whenever that was. */
export function sameOwners(a: readonly ManagedFieldsEntry[] | undefined = [], b: readonly ManagedFieldsEntry[] | undefined = []): boolean {
  if (a.length !== b.length) return false;
  const others = byIdentity(b as ManagerEntry[]);
  return (a as ManagerEntry[]).every((entry) => {
    const other = others.get(identityOf(entry));
    return other !== undefined && other.apiVersion === entry.apiVersion && equalSets(other.fieldsV1, entry.fieldsV1);
  });
}

/** Puts the oldest updaters together, in place, until there are few enough. */
export function capUpdaters(managers: Managers): void {
  const updaters = [...managers].filter(([, { operation }]) => operation === 'Update').toSorted(([, a], [, b]) => byTime(a, b));
  let left = updaters.length;
  const first = new Map<string, string>();
  /** What goes into each bucket: put together once, for a client may bring thousands. */
  const parts = new Map<string, FieldSet[]>();
  for (const [identity, entry] of updaters) {
    if (left <= updatersMax) break;
    const { apiVersion } = entry;
    const firstIdentity = first.get(apiVersion);
    if (firstIdentity === undefined) {
      first.set(apiVersion, identity);
      continue;
    }
    const bucket: ManagerEntry = { manager: oldUpdatesManager, operation: 'Update', apiVersion, ...(entry.time ? { time: entry.time } : {}), fieldsType: 'FieldsV1', fieldsV1: emptySet };
    const bucketIdentity = identityOf(bucket);
    const sets = parts.get(bucketIdentity) ?? [(managers.get(bucketIdentity) ?? managers.get(firstIdentity)!).fieldsV1];
    parts.set(bucketIdentity, sets);
    sets.push(entry.fieldsV1);
    if (!managers.has(bucketIdentity)) managers.delete(firstIdentity);
    managers.delete(identity);
    managers.set(bucketIdentity, bucket);
    left--;
  }
  for (const [identity, sets] of parts) managers.set(identity, { ...managers.get(identity)!, fieldsV1: unionOf(sets) });
}

/** What the managedFields of a client's object ask for: those that are stored, none at all, or these. */
export type Sent = 'stored' | 'none' | Managers;

/** @param problems gets what is wrong with them */
export function readSent(sent: unknown, stored: readonly ManagedFieldsEntry[] | undefined, problems: FieldProblem[]): Sent {
  if (sent === undefined || sent === null || (stored !== undefined && dequal(sent, stored))) return 'stored';
  const field = 'metadata.managedFields';
  if (!Array.isArray(sent)) {
    problems.push({ ...invalidValue(field, sent, 'must be a list'), reason: 'FieldValueTypeInvalid' });
    return 'stored';
  }
  if (sent.length === 0 || (sent.length === 1 && isMapping(sent[0]) && Object.keys(sent[0]).length === 0)) return 'none';
  return byIdentity(sent.flatMap((entry, at) => readEntry(entry, `${field}[${at}]`, problems) ?? []));
}

function readEntry(entry: unknown, field: string, problems: FieldProblem[]): ManagerEntry | undefined {
  const before = problems.length;
  if (!isMapping(entry)) {
    problems.push({ ...invalidValue(field, entry, 'must be a mapping'), reason: 'FieldValueTypeInvalid' });
    return undefined;
  }
  for (const key of ['manager', 'operation', 'apiVersion', 'time', 'fieldsType', 'subresource']) {
    if (entry[key] !== undefined && typeof entry[key] !== 'string') problems.push({ ...invalidValue(`${field}.${key}`, entry[key], 'must be a string'), reason: 'FieldValueTypeInvalid' });
  }
  if (problems.length > before) return undefined;
  const { manager = '', operation = '', apiVersion = '', time, fieldsType = '', fieldsV1 = {}, subresource = '' } = entry as Record<string, string> & { fieldsV1?: unknown };
  if (operation !== 'Apply' && operation !== 'Update') problems.push(invalidValue(`${field}.operation`, operation, 'must be `Apply` or `Update`'));
  if (apiVersion === '') problems.push(required(`${field}.apiVersion`, 'must name the version in which the fields are named'));
  if (fieldsType === '') problems.push(required(`${field}.fieldsType`, 'must be `FieldsV1`'));
  else if (fieldsType !== 'FieldsV1') problems.push(invalidValue(`${field}.fieldsType`, fieldsType, 'must be `FieldsV1`'));
  if (time !== undefined && Number.isNaN(Date.parse(time))) problems.push(invalidValue(`${field}.time`, time, "must be an RFC 3339 time (e.g. '2026-01-31T12:00:00Z')"));
  problems.push(...managerProblems(manager, `${field}.manager`));
  if (Buffer.byteLength(subresource) > subresourceLengthMax) problems.push(tooLong(`${field}.subresource`, subresourceLengthMax));
  const set = readFields(fieldsV1, `${field}.fieldsV1`, problems);
  if (problems.length > before || set === undefined) return undefined;
  return {
    manager,
    operation: operation as ManagerEntry['operation'],
    apiVersion,
    ...(time === undefined ? {} : { time: timestamp(Date.parse(time)) }),
    fieldsType: 'FieldsV1',
    fieldsV1: set,
    ...(subresource ? { subresource } : {}),
  };
}

function readFields(fields: unknown, field: string, problems: FieldProblem[]): FieldSet | undefined {
  try {
    return parseFieldSet(fields);
  } catch (error) {
    problems.push({ field, reason: 'FieldValueInvalid', message: `Invalid value: ${(error as Error).message}` });
    return undefined;
  }
}

/** Rules for the name of a manager, in a query as in an entry. */
export function managerProblems(manager: string, field: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (Buffer.byteLength(manager) > managerLengthMax) problems.push(tooLong(field, managerLengthMax));
  let at = 0;
  for (const letter of manager) {
    if (!isPrintable(letter)) {
      problems.push(invalidValue(field, manager, `invalid character U+${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')} (at position ${at})`));
      break;
    }
    at += Buffer.byteLength(letter);
  }
  return problems;
}

/** As Go has it: letters, marks, numbers, punctuation, symbols, and the space. */
export function isPrintable(letter: string): boolean {
  return letter === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(letter);
}

function tooLong(field: string, max: number): FieldProblem {
  return { field, reason: 'FieldValueTooLong', message: `Too long: may not be more than ${max} bytes` };
}
