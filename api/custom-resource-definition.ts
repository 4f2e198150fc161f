// custom-resource-definition.ts
//
// A CustomResourceDefinition adds a kind to the API. Here: the kind, and those that a definition stands for as far as a client needs
// them. Its shape is in definition-shape.ts, what makes it valid in definition-rules.ts, what the server notes in its status in
// definition-status.ts.
// https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/

import { conditionIs } from './conditions.js';
import { DefinitionSchema } from './definition-schema.js';
import { applyDefinitionDefaults, definitionProblems, definitionUpdateProblems } from './definition-rules.js';
import { Definition, type CustomResourceDefinition, type DefinitionNames, type DefinitionVersion } from './definition-shape.js';
import { genericKind } from './generic-kind.js';
import { nameColumn, type KindDefinition } from './kind.js';
import { subdomainProblem } from './names.js';

export type { CustomResourceDefinition, DefinitionNames, DefinitionStatus, DefinitionVersion, ScalePaths } from './definition-shape.js';

/** On every definition that is deleted; the controller takes it off when there are no more objects of the kind. */
export const customResourceCleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

export const customResourceDefinitionKind: KindDefinition<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  description: 'A CustomResourceDefinition adds a kind to the API: its names, versions, schemas and columns.',
  schema: new DefinitionSchema(Definition),
  statusSubresource: true,
  allowUnconditionalUpdate: false,
  nameProblem: subdomainProblem,
  applyDefaults: applyDefinitionDefaults,
  validate: definitionProblems,
  validateUpdate: definitionUpdateProblems,
  columns: [
    nameColumn,
    { name: 'Created At', type: 'date', priority: 0, description: 'When the definition was created.', cell: (crd) => crd.metadata.creationTimestamp ?? '' },
  ],
};

/** Whether requests for objects of the kind are answered. */
export function isEstablished({ status }: CustomResourceDefinition): boolean {
  return conditionIs(status?.conditions, 'Established', 'True');
}

/** Whether the definition is being deleted with all its objects. */
export function isTerminating({ status, metadata }: CustomResourceDefinition): boolean {
  return Boolean(metadata.deletionTimestamp) || conditionIs(status?.conditions, 'Terminating', 'True');
}

/** The versions that clients may use; none before the definition is established. While it is being deleted there is always one: its objects must be reached. */
export function servedVersionsOf(crd: CustomResourceDefinition): readonly DefinitionVersion[] {
  if (!isEstablished(crd)) return [];
  const served = crd.spec.versions.filter((version) => version.served);
  return served.length === 0 && isTerminating(crd) ? crd.spec.versions.filter(({ storage }) => storage) : served;
}

/** The kinds that clients may use, one for each served version. For a client: schemas are not looked at. */
export function servedKindsOf(crd: CustomResourceDefinition): KindDefinition[] {
  return servedVersionsOf(crd).map((version) => kindOf(crd, version));
}

/**
 * A kind under which a client reaches every object: the storage version where that is served, else another served one.
 * Undefined when no version is served.
 */
export function storageKindOf(crd: CustomResourceDefinition): KindDefinition | undefined {
  const served = servedVersionsOf(crd);
  const version = served.find(({ storage }) => storage) ?? served[0];
  return version && kindOf(crd, version);
}

function kindOf(crd: CustomResourceDefinition, version: DefinitionVersion): KindDefinition {
  const { group, scope } = crd.spec;
  const { plural, singular, kind, shortNames, categories } = namesOf(crd);
  return genericKind({
    group,
    version: version.name,
    kind,
    plural,
    namespaced: scope === 'Namespaced',
    statusSubresource: version.subresources?.status !== undefined,
    ...(singular ? { singular } : {}),
    ...(shortNames ? { shortNames } : {}),
    ...(categories ? { categories } : {}),
  });
}

/** The names under which the kind is served. */
export function namesOf({ spec, status }: CustomResourceDefinition): DefinitionNames {
  const { plural, kind } = spec.names;
  return { ...status?.acceptedNames, plural: status?.acceptedNames?.plural || plural, kind: status?.acceptedNames?.kind || kind };
}
