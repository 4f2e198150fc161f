// lease.ts
//
// Leases do two jobs: in kube-node-lease the server keeps one per node whose agent is present (it goes when the agent
// has been silent for its time to live); elsewhere anyone elects leaders with them.

import { Type, type Static } from 'typebox';
import { ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;

const LeaseSpec = Type.Object(
  {
    holderIdentity: opt(Type.String({ description: 'Who holds the lease.' })),
    leaseDurationSeconds: opt(Type.Integer({ minimum: 1, description: 'Seconds after renewTime for which the holder has it.' })),
    acquireTime: opt(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'When the holder got it.' })),
    renewTime: opt(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'When the holder last renewed it.' })),
    leaseTransitions: opt(Type.Integer({ description: 'How often it changed hands.' })),
    strategy: opt(Type.String({ description: 'Kept for compatibility.' })),
    preferredHolder: opt(Type.String({ description: 'Kept for compatibility.' })),
  },
  { description: 'Who holds the lease, and until when.' },
);

export interface Lease extends KubeObject {
  apiVersion: 'coordination.k8s.io/v1';
  kind: 'Lease';
  spec?: Static<typeof LeaseSpec>;
}

/** Namespace of the leases that stand for the presence of agents; read-only for clients. */
export const presenceNamespace = 'kube-node-lease';

export const leaseKind: KindDefinition<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  shortNames: [],
  categories: [],
  namespaced: true,
  description: 'A Lease says who holds something and until when.',
  schema: new ObjectSchema(
    Type.Object({ apiVersion: Type.String({ description: 'coordination.k8s.io/v1' }), kind: Type.String({ description: 'Lease' }), metadata: ObjectMeta, spec: opt(LeaseSpec) }),
  ),
  statusSubresource: false,
  nameProblem: subdomainProblem,
  columns: [
    nameColumn,
    { name: 'Holder', type: 'string', priority: 0, description: 'Who holds the lease.', cell: (lease) => lease.spec?.holderIdentity ?? '' },
    ageColumn,
  ],
};
