// lease.ts
//
// Leases do two jobs: in kube-node-lease the server keeps one per node whose agent is present (it goes when the agent
// has been silent for its time to live); elsewhere anyone elects leaders with them.

import { Type, type Static } from 'typebox';
import { forbiddenField, invalidValue, notSupported, type FieldProblem } from './errors.js';
import { ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { qualifiedNameProblem, subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;

const LeaseSpec = Type.Object(
  {
    holderIdentity: opt(Type.String({ description: 'Who holds the lease.' })),
    leaseDurationSeconds: opt(Type.Integer({ description: 'Seconds after renewTime for which the holder has it.' })),
    acquireTime: opt(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'When the holder got it.' })),
    renewTime: opt(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'When the holder last renewed it.' })),
    leaseTransitions: opt(Type.Integer({ description: 'How often it changed hands.' })),
    strategy: opt(Type.String({ description: 'How candidates are chosen from, where a coordinator chooses.' })),
    preferredHolder: opt(Type.String({ description: 'Who should take the lease over from the holder.' })),
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

const leaseStrategies = ['OldestEmulationVersion'];

/** https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/coordination/validation/validation.go */
function specProblems({ leaseDurationSeconds, leaseTransitions, strategy, preferredHolder }: NonNullable<Lease['spec']>): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0) problems.push(invalidValue('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0'));
  if (leaseTransitions !== undefined && leaseTransitions < 0) problems.push(invalidValue('spec.leaseTransitions', leaseTransitions, 'must be greater than or equal to 0'));
  if (strategy !== undefined) {
    const problem = strategy.includes('/') ? qualifiedNameProblem(strategy) : undefined;
    if (problem) problems.push(invalidValue('spec.strategy', strategy, problem));
    else if (!strategy.includes('/') && !leaseStrategies.includes(strategy)) problems.push(notSupported('spec.strategy', strategy, leaseStrategies));
  }
  if (preferredHolder && !strategy) problems.push(forbiddenField('spec.preferredHolder', 'can only be specified if `strategy` is defined'));
  return problems;
}

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
  validate: ({ spec }) => (spec ? specProblems(spec) : []),
  columns: [
    nameColumn,
    { name: 'Holder', type: 'string', priority: 0, description: 'Who holds the lease.', cell: (lease) => lease.spec?.holderIdentity ?? '' },
    ageColumn,
  ],
};
