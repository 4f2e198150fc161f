// custom-resource-definition.ts
//
// A CustomResourceDefinition adds a kind to the API. Here: its shape, and the kinds that it stands for as far as a client needs
// them. What makes it valid is in definition-rules.ts, what the server notes in its status in definition-status.ts.
// https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/

import { Type, type Static } from 'typebox';
import { conditionIs } from './conditions.js';
import { DefinitionSchema } from './definition-schema.js';
import { applyDefinitionDefaults, definitionProblems, definitionUpdateProblems } from './definition-rules.js';
import { genericKind } from './generic-kind.js';
import { nameColumn, type KindDefinition } from './kind.js';
import { Condition, ObjectMeta, type KubeObject } from './meta.js';
import { subdomainProblem } from './names.js';

const opt = Type.Optional;
const strings = (description: string) => Type.Array(Type.String(), { description, 'x-kubernetes-list-type': 'atomic' });

const Names = Type.Object(
  {
    plural: Type.String({ description: 'Name of the resource in paths, lower case: `crontabs`.' }),
    singular: opt(Type.String({ description: 'Name of one object on the command line; the kind in lower case by default.' })),
    kind: Type.String({ description: 'The kind that objects carry: `CronTab`.' }),
    listKind: opt(Type.String({ description: 'The kind of lists; the kind with `List` appended by default.' })),
    shortNames: opt(strings('Short names for the command line.')),
    categories: opt(strings('Groups of kinds that this one belongs to, such as `all`.')),
  },
  { description: 'The names of the kind.' },
);
export type DefinitionNames = Static<typeof Names>;

const PrinterColumnDefinition = Type.Object({
  name: Type.String({ description: 'Header of the column.' }),
  type: Type.String({ description: 'integer, number, string, boolean or date.' }),
  format: opt(Type.String({ description: 'Format of the value, as in OpenAPI.' })),
  description: opt(Type.String({ description: 'What the column shows.' })),
  priority: opt(Type.Integer({ description: '0 is always shown, higher only with `-o wide`.' })),
  jsonPath: Type.String({ description: 'Where the value is in the object: `.spec.replicas`.' }),
});

const Scale = Type.Object(
  {
    specReplicasPath: Type.String({ description: 'Where the wanted number of replicas is: `.spec.replicas`.' }),
    statusReplicasPath: Type.String({ description: 'Where the present number of replicas is: `.status.replicas`.' }),
    labelSelectorPath: opt(Type.String({ description: 'Where the selector of the replicas is, as a string.' })),
  },
  { description: 'Serves .../scale, for `kubectl scale`.' },
);
export type ScalePaths = Static<typeof Scale>;

const Version = Type.Object({
  name: Type.String({ description: 'Name of the version: `v1`, `v1beta1`.' }),
  served: Type.Boolean({ description: 'Whether clients may use it.' }),
  storage: Type.Boolean({ description: 'Whether objects are stored in it. True for exactly one version.' }),
  deprecated: opt(Type.Boolean({ description: 'Whether clients that use it are warned.' })),
  deprecationWarning: opt(Type.String({ description: 'What they are told; a general sentence by default.' })),
  schema: opt(
    Type.Object(
      { openAPIV3Schema: opt(Type.Object({}, { description: 'Structural OpenAPI v3 schema of the object.', 'x-kubernetes-preserve-unknown-fields': true })) },
      { description: 'What objects of the version look like.' },
    ),
  ),
  subresources: opt(
    Type.Object(
      {
        status: opt(Type.Object({}, { description: 'Serves .../status: writes to it touch the status only, others never do.', 'x-kubernetes-preserve-unknown-fields': true })),
        scale: opt(Scale),
      },
      { description: 'What hangs below an object.' },
    ),
  ),
  additionalPrinterColumns: opt(Type.Array(PrinterColumnDefinition, { description: 'Columns of `kubectl get` beside the name; the age by default.', 'x-kubernetes-list-type': 'atomic' })),
  selectableFields: opt(
    Type.Array(Type.Object({ jsonPath: Type.String({ description: 'Where the field is: `.spec.color`.' }) }), { description: 'Fields that a field selector may name.', 'x-kubernetes-list-type': 'atomic' }),
  ),
});
export type DefinitionVersion = Omit<Static<typeof Version>, 'schema'> & { schema?: { openAPIV3Schema?: Record<string, unknown> } };

const Conversion = Type.Object(
  {
    strategy: Type.String({ description: 'None: versions differ in apiVersion and in what their schemas know. Webhook is not supported.' }),
    webhook: opt(Type.Object({}, { description: 'Not supported.', 'x-kubernetes-preserve-unknown-fields': true })),
  },
  { description: 'How objects get from one version to another.' },
);

const Spec = Type.Object(
  {
    group: Type.String({ description: 'API group of the kind, a domain: `stable.example.com`.' }),
    names: Names,
    scope: Type.String({ description: 'Namespaced or Cluster.' }),
    versions: Type.Array(Version, { description: 'The versions of the kind.', 'x-kubernetes-list-type': 'atomic' }),
    conversion: opt(Conversion),
    preserveUnknownFields: opt(Type.Boolean({ description: 'Must be false: use x-kubernetes-preserve-unknown-fields in the schema.' })),
  },
  { description: 'The kind that is wanted.' },
);

const Status = Type.Object(
  {
    acceptedNames: opt(Type.Partial(Names, { description: 'The names that are in use: those of spec that no other kind of the group has.' })),
    conditions: opt(Type.Array(Condition, { description: 'NamesAccepted, Established, Terminating, NonStructuralSchema.', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })),
    storedVersions: opt(strings('Versions in which objects may be stored: none of them may leave spec.versions.')),
  },
  { description: 'What the server says of the kind.' },
);
export type DefinitionStatus = Static<typeof Status>;

export interface CustomResourceDefinition extends KubeObject {
  apiVersion: 'apiextensions.k8s.io/v1';
  kind: 'CustomResourceDefinition';
  spec: Omit<Static<typeof Spec>, 'versions'> & { versions: DefinitionVersion[] };
  status?: DefinitionStatus;
}

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
  schema: new DefinitionSchema(
    Type.Object({
      apiVersion: Type.String({ description: 'apiextensions.k8s.io/v1' }),
      kind: Type.String({ description: 'CustomResourceDefinition' }),
      metadata: ObjectMeta,
      spec: Spec,
      status: opt(Status),
    }),
  ),
  statusSubresource: true,
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
  return metadata.deletionTimestamp != null || conditionIs(status?.conditions, 'Terminating', 'True');
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
