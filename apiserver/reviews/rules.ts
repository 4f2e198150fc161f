// rules.ts: what a user may do, as rules that people read. The authorizer (resources/authorization.ts) decides by code; these say the
// same, where rules can, and rules.test.ts holds the two together.

import { authorize, nodeOf, type Attributes, type Lookups } from '../resources/authorization.js';
import type { User } from '../resources/service.js';

export interface ResourceRule {
  verbs: readonly string[];
  apiGroups: readonly string[];
  resources: readonly string[];
  resourceNames?: readonly string[];
}

export interface NonResourceRule {
  verbs: readonly string[];
  nonResourceURLs: readonly string[];
}

export interface Rules {
  resourceRules: readonly ResourceRule[];
  nonResourceRules: readonly NonResourceRule[];
  incomplete: boolean;
  evaluationError?: string;
}

const anything: Attributes = { verb: '*', kind: { group: '*', plural: '*', kind: '*' } };
const nothing: Lookups = { task: () => undefined, tasksBoundTo: () => [] };

const open: NonResourceRule = {
  verbs: ['get'],
  nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/healthz', '/livez', '/openapi', '/openapi/*', '/readyz', '/version'],
};
const selfReviews: readonly ResourceRule[] = [
  { verbs: ['create'], apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'] },
  { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
];

export function rulesOf(user: User): Rules {
  if (authorize(user, anything, nothing).allowed) {
    return {
      resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
      nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
      incomplete: false,
    };
  }
  const node = nodeOf(user);
  if (node === undefined) return { resourceRules: selfReviews, nonResourceRules: [open], incomplete: false };
  const own = [node];
  return {
    resourceRules: [
      ...selfReviews,
      { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['nodes', 'nodes/status'] },
      { verbs: ['create', 'update', 'patch'], apiGroups: [''], resources: ['nodes'], resourceNames: own },
      { verbs: ['update', 'patch'], apiGroups: [''], resources: ['nodes/status'], resourceNames: own },
      { verbs: ['create', 'update', 'patch'], apiGroups: [''], resources: ['events'] },
    ],
    nonResourceRules: [open],
    incomplete: true,
    evaluationError: `the agent of node ${node} may also read the tasks that are bound to it, and get the secrets and config maps that they refer to`,
  };
}
