// definition-status.ts
//
// What the server notes in the status of a CustomResourceDefinition: which of the wanted names are free, and whether the kind
// is served. Pure. A name is taken when another definition of the group has it accepted; a kind that was once established
// keeps the names it has when it asks for one that is taken.

import { conditionIs, withCondition } from './conditions.js';
import type { CustomResourceDefinition, DefinitionNames, DefinitionStatus } from './definition-shape.js';

interface NameConflict {
  reason: string;
  message: string;
}

/**
 * The status of `crd` among `others`, its own entry among them or not.
 * @param now milliseconds since the epoch
 */
export function settledStatus(crd: CustomResourceDefinition, others: Iterable<CustomResourceDefinition>, now: number): DefinitionStatus {
  const { acceptedNames, conflict } = settledNames(crd, others);
  let { conditions } = crd.status ?? {};
  conditions = withCondition(
    conditions,
    conflict ? { type: 'NamesAccepted', status: 'False', ...conflict } : { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
    now,
  );
  if (!conditionIs(conditions, 'Established', 'True')) {
    conditions = withCondition(
      conditions,
      conflict
        ? { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }
        : { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' },
      now,
    );
  }
  return { acceptedNames, conditions, storedVersions: storedVersionsOf(crd) };
}

/** What a definition says of itself when its deletion begins. @param now milliseconds since the epoch */
export function terminatingStatus(status: DefinitionStatus | undefined, now: number): DefinitionStatus {
  const condition = { type: 'Terminating', status: 'True', reason: 'InstanceDeletionPending', message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon' } as const;
  return { ...status, conditions: withCondition(status?.conditions, condition, now) };
}

function storedVersionsOf({ spec, status }: CustomResourceDefinition): string[] {
  const before = status?.storedVersions ?? [];
  const storage = spec.versions.find((version) => version.storage)?.name;
  return storage === undefined || before.includes(storage) ? before : [...before, storage];
}

function settledNames(crd: CustomResourceDefinition, others: Iterable<CustomResourceDefinition>): { acceptedNames: Partial<DefinitionNames>; conflict: NameConflict | undefined } {
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const other of others) {
    if (other.spec.group !== crd.spec.group || other.metadata.name === crd.metadata.name) continue;
    const { plural, singular, shortNames = [], kind, listKind } = other.status?.acceptedNames ?? {};
    for (const name of [plural, singular, ...shortNames]) if (name) resources.add(name);
    for (const name of [kind, listKind]) if (name) kinds.add(name);
  }
  const wanted = crd.spec.names;
  const had = crd.status?.acceptedNames ?? {};
  const accepted: Partial<DefinitionNames> = { ...had };
  let conflict: NameConflict | undefined;
  const ask = (field: 'plural' | 'singular' | 'kind' | 'listKind', taken: Set<string>, reason: string): void => {
    const name = wanted[field];
    if (!name) return;
    if (name === had[field] || !taken.has(name)) accepted[field] = name;
    else conflict = { reason, message: inUse([name]) };
  };
  ask('plural', resources, 'PluralConflict');
  ask('singular', resources, 'SingularConflict');
  const takenShort = (wanted.shortNames ?? []).filter((name) => resources.has(name) && !had.shortNames?.includes(name));
  if (takenShort.length > 0) conflict = { reason: 'ShortNamesConflict', message: inUse(takenShort) };
  else if (wanted.shortNames?.length) accepted.shortNames = wanted.shortNames;
  else delete accepted.shortNames;
  ask('kind', kinds, 'KindConflict');
  ask('listKind', kinds, 'ListKindConflict');
  if (wanted.categories?.length) accepted.categories = wanted.categories;
  else delete accepted.categories;
  return { acceptedNames: accepted, conflict };
}

function inUse(names: readonly string[]): string {
  const texts = names.map((name) => `${JSON.stringify(name)} is already in use`);
  return texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`;
}
