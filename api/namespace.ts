import { Type } from 'typebox';
import { ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { labelProblem } from './names.js';
import { ObjectSchema } from './schema.js';

export interface Namespace extends KubeObject {
  apiVersion: 'v1';
  kind: 'Namespace';
  spec?: { finalizers?: string[] };
  status?: { phase?: 'Active' | 'Terminating' };
}

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
      spec: Type.Optional(Type.Object({ finalizers: Type.Optional(Type.Array(Type.String(), { 'x-kubernetes-list-type': 'atomic', description: 'Kept for compatibility.' })) })),
      status: Type.Optional(
        Type.Object({ phase: Type.Optional(Type.String({ description: 'Active or Terminating.' })) }, { 'x-kubernetes-preserve-unknown-fields': true }),
      ),
    }),
  ),
  statusSubresource: true,
  nameProblem: labelProblem,
  selectableFields: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
  columns: [
    nameColumn,
    { name: 'Status', type: 'string', priority: 0, description: 'Active or Terminating.', cell: (namespace) => (namespace.metadata.deletionTimestamp ? 'Terminating' : (namespace.status?.phase ?? 'Active')) },
    ageColumn,
  ],
};
