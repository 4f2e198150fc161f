// definition-shape.ts: what a CustomResourceDefinition looks like.

import { Type, type Static } from 'typebox';
import { Condition, ObjectMeta, type KubeObject } from './meta.js';

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

export const Definition = Type.Object({
  apiVersion: Type.String({ description: 'apiextensions.k8s.io/v1' }),
  kind: Type.String({ description: 'CustomResourceDefinition' }),
  metadata: ObjectMeta,
  spec: Spec,
  status: opt(Status),
});
