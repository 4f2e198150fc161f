import { describe, expect, it } from '@jest/globals';
import { conditionIs, findCondition } from './conditions.js';
import { customResourceDefinitionKind, servedKindsOf, storageKindOf, type CustomResourceDefinition, type DefinitionNames } from './custom-resource-definition.js';
import { reservedGroups } from './definition-rules.js';
import { settledStatus, terminatingStatus } from './definition-status.js';
import { kinds } from './kinds.js';
import { applyDefaults, objectProblems } from './validation.js';

const at = Date.parse('2026-01-01T00:00:00Z');

function definition(names: Partial<DefinitionNames> = {}): CustomResourceDefinition {
  const plural = names.plural ?? 'things';
  const crd: CustomResourceDefinition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.example.com` },
    spec: { group: 'example.com', scope: 'Namespaced', names: { kind: 'Thing', ...names, plural }, versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }] },
  };
  applyDefaults(customResourceDefinitionKind as unknown as (typeof kinds)[number], crd);
  return crd;
}

const settled = (crd: CustomResourceDefinition, ...others: CustomResourceDefinition[]): CustomResourceDefinition => ({ ...crd, status: settledStatus(crd, others, at) });

describe('a definition', () => {
  it('gets the names it leaves out', () => {
    expect(definition().spec.names).toMatchObject({ singular: 'thing', listKind: 'ThingList' });
  });

  it('may be in no group of the server', () => {
    for (const { group } of kinds) if (group.includes('.')) expect([group, reservedGroups.has(group)]).toEqual([group, true]);
  });

  it('has every problem told at once', () => {
    const crd = definition({ plural: 'Things', shortNames: ['T!'] });
    crd.spec.group = 'example';
    crd.spec.versions.push({ name: 'v1', served: true, storage: true, deprecationWarning: 'x' });
    const fields = objectProblems(customResourceDefinitionKind as unknown as (typeof kinds)[number], crd).map(({ field }) => field);
    expect(fields).toEqual(expect.arrayContaining(['metadata.name', 'spec.group', 'spec.names.plural', 'spec.names.shortNames[0]', 'spec.versions', 'spec.versions[1].deprecationWarning', 'spec.versions[1].schema.openAPIV3Schema']));
  });

  it('stands for the kinds of its served versions once it is established', () => {
    const crd = definition({ shortNames: ['t'] });
    expect(servedKindsOf(crd)).toEqual([]);
    crd.spec.versions.push({ ...crd.spec.versions[0]!, name: 'v2', storage: false }, { ...crd.spec.versions[0]!, name: 'v3', storage: false, served: false });
    expect(servedKindsOf(settled(crd)).map(({ version, shortNames }) => [version, shortNames])).toEqual([['v1', ['t']], ['v2', ['t']]]);
    expect(storageKindOf(settled(crd))?.version).toBe('v1');
    crd.spec.versions[0]!.served = false;
    expect(storageKindOf(settled(crd))?.version).toBe('v2');
  });

  it('whose versions are all unserved is served once more while it is being deleted', () => {
    const crd = settled(definition());
    crd.spec.versions[0]!.served = false;
    expect(servedKindsOf(crd)).toEqual([]);
    expect(servedKindsOf({ ...crd, status: terminatingStatus(crd.status, at) }).map(({ version }) => version)).toEqual(['v1']);
  });
});

describe('the names of a definition', () => {
  const first = settled(definition({ shortNames: ['t'] }));

  it.each<[string, Partial<DefinitionNames>, string, string]>([
    ['a short name', { plural: 'others', kind: 'Other', shortNames: ['t', 'o'] }, 'ShortNamesConflict', '"t" is already in use'],
    ['a singular', { plural: 'others', kind: 'Other', singular: 'thing' }, 'SingularConflict', '"thing" is already in use'],
    ['a kind', { plural: 'others', singular: 'other', kind: 'Thing', listKind: 'OtherList' }, 'KindConflict', '"Thing" is already in use'],
    ['a list kind', { plural: 'others', singular: 'other', kind: 'Other', listKind: 'ThingList' }, 'ListKindConflict', '"ThingList" is already in use'],
  ])('are not accepted with %s that is taken', (_what, names, reason, message) => {
    const { status } = settled(definition(names), first);
    expect(findCondition(status!.conditions, 'NamesAccepted')).toMatchObject({ status: 'False', reason, message });
    expect(findCondition(status!.conditions, 'Established')).toMatchObject({ status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' });
  });

  it('stay with who has them, who stays established when it asks for one that is taken', () => {
    const other = settled(definition({ plural: 'others', kind: 'Other', shortNames: ['o'] }), first);
    const greedy = settled({ ...other, spec: { ...other.spec, names: { ...other.spec.names, shortNames: ['o', 't'] } } }, first, other);
    expect(conditionIs(greedy.status!.conditions, 'Established', 'True')).toBe(true);
    expect(conditionIs(greedy.status!.conditions, 'NamesAccepted', 'True')).toBe(false);
    expect(greedy.status!.acceptedNames?.shortNames).toEqual(['o']);
  });

  it('of another group are no matter', () => {
    const elsewhere = definition({ shortNames: ['t'] });
    elsewhere.spec.group = 'example.org';
    expect(conditionIs(settled(elsewhere, first).status!.conditions, 'Established', 'True')).toBe(true);
  });
});
