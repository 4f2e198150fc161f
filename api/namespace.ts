import { Type } from 'typebox';
import { invalidValue, type FieldProblem } from './errors.js';
import { ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { Condition, ObjectMeta, type KubeObject } from './meta.js';
import { labelProblem, qualifiedNameProblem } from './names.js';
import { ObjectSchema } from './schema.js';

export interface Namespace extends KubeObject {
  apiVersion: 'v1';
  kind: 'Namespace';
  spec?: { finalizers?: string[] };
  status?: { phase?: 'Active' | 'Terminating'; conditions?: Condition[] };
}

/** In spec.finalizers of every namespace; the namespace controller takes it off when a deleted namespace is empty. */
export const namespaceFinalizer = 'kubernetes';

/** Made by the server when it starts on an empty store; they cannot be deleted. */
export const bootstrapNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;

export const namespaceKind: KindDefinition<Namespace> = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  categories: [],
  namespaced: false,
  description: 'A Namespace keeps the names of one team or purpose apart from others. Deleting it deletes all that is in it.',
  schema: new ObjectSchema(
    Type.Object({
      apiVersion: Type.String({ description: 'v1' }),
      kind: Type.String({ description: 'Namespace' }),
      metadata: ObjectMeta,
      spec: Type.Optional(
        Type.Object(
          { finalizers: Type.Optional(Type.Array(Type.String(), { 'x-kubernetes-list-type': 'atomic', description: 'Who must be done before a deleted namespace goes; changed through /finalize only.' })) },
          { description: 'What keeps a deleted namespace.' },
        ),
      ),
      status: Type.Optional(
        Type.Object(
          {
            phase: Type.Optional(Type.String({ description: 'Active or Terminating.' })),
            conditions: Type.Optional(
              Type.Array(Condition, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'], description: 'While it is deleted: what it waits for.' }),
            ),
          },
          { description: 'What has become of the namespace.', 'x-kubernetes-preserve-unknown-fields': true },
        ),
      ),
    }),
  ),
  statusSubresource: true,
  nameProblem: labelProblem,
  validate: (namespace) => (namespace.spec?.finalizers ?? []).flatMap(finalizerProblems),
  selectableFields: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
  columns: [
    nameColumn,
    { name: 'Status', type: 'string', priority: 0, description: 'Active or Terminating.', cell: (namespace) => (namespace.metadata.deletionTimestamp ? 'Terminating' : (namespace.status?.phase ?? 'Active')) },
    ageColumn,
  ],
};

function finalizerProblems(finalizer: string, index: number): FieldProblem[] {
  const field = `spec.finalizers[${index}]`;
  const problem = qualifiedNameProblem(finalizer);
  if (problem) return [invalidValue(field, finalizer, problem)];
  if (finalizer.includes('/') || finalizer === namespaceFinalizer) return [];
  return [invalidValue(field, finalizer, 'name is neither a standard finalizer name nor is it fully qualified')];
}
