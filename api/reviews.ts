// reviews.ts: the kinds by which clients ask who they are and what they may do. A review is created and answered at once;
// none is ever stored.

import { Type, type TProperties } from 'typebox';
import { nameColumn, type KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;
const text = (description: string) => opt(Type.String({ description }));
const texts = (description: string) => Type.Array(Type.String(), { description });

const SelectorAttributes = Type.Object(
  {
    rawSelector: text('The selector as it would stand in a query.'),
    requirements: opt(
      Type.Array(Type.Object({ key: Type.String({ description: 'Of what.' }), operator: Type.String({ description: 'In, NotIn, Exists or DoesNotExist.' }), values: opt(texts('With which values.')) }), { description: 'The selector, taken apart.' }),
    ),
  },
  { description: 'What the request selects.' },
);

const ResourceAttributes = Type.Object(
  {
    namespace: text('Namespace of the action; empty for all, and for kinds of no namespace.'),
    verb: text('get, list, watch, create, update, patch, delete, deletecollection; * for all.'),
    group: text('API group of the resource; * for all.'),
    version: text('API version of the resource; * for all.'),
    resource: text('Plural of the kind; * for all.'),
    subresource: text('Subresource, such as status.'),
    name: text('Name of the object; empty for all.'),
    fieldSelector: opt(SelectorAttributes),
    labelSelector: opt(SelectorAttributes),
  },
  { description: 'An action on a resource.' },
);
export interface ResourceAttributes {
  namespace?: string;
  verb?: string;
  group?: string;
  version?: string;
  resource?: string;
  subresource?: string;
  name?: string;
  fieldSelector?: { rawSelector?: string };
}

const NonResourceAttributes = Type.Object(
  { path: text('Path of the URL.'), verb: text('The HTTP method, in lower case.') },
  { description: 'A request for a path that is no resource.' },
);

const asked = { resourceAttributes: opt(ResourceAttributes), nonResourceAttributes: opt(NonResourceAttributes) };
const subject = {
  user: text('Whose rights are asked about.'),
  groups: opt(texts('The groups of that user.')),
  uid: text('UID of that user.'),
  extra: opt(Type.Record(Type.String(), Type.Array(Type.String()), { description: 'More about that user.' })),
};

const AccessStatus = opt(
  Type.Object(
    {
      allowed: Type.Boolean({ description: 'Whether the action is allowed.' }),
      denied: opt(Type.Boolean({ description: 'Whether it is forbidden whatever else is said.' })),
      reason: text('Why.'),
      evaluationError: text('What went wrong while finding out.'),
    },
    { description: 'The answer, set by the server.' },
  ),
);

const RulesStatus = opt(
  Type.Object(
    {
      resourceRules: Type.Array(
        Type.Object({ verbs: texts('What may be done.'), apiGroups: opt(texts('In which API groups.')), resources: opt(texts('To which resources.')), resourceNames: opt(texts('To which objects; to all when absent.')) }),
        { description: 'Actions on resources that are allowed.' },
      ),
      nonResourceRules: Type.Array(Type.Object({ verbs: texts('HTTP methods.'), nonResourceURLs: opt(texts('Paths.')) }), { description: 'Requests for other paths that are allowed.' }),
      incomplete: Type.Boolean({ description: 'Whether there is more to it than rules can say.' }),
      evaluationError: text('What the rules do not say.'),
    },
    { description: 'The answer, set by the server.' },
  ),
);

const UserStatus = opt(
  Type.Object(
    {
      userInfo: opt(
        Type.Object(
          { username: text('Name of the user.'), uid: text('UID of the user.'), groups: opt(texts('Groups of the user.')), extra: opt(Type.Record(Type.String(), Type.Array(Type.String()), { description: 'More about the user.' })) },
          { description: 'Who asks.' },
        ),
      ),
    },
    { description: 'The answer, set by the server.' },
  ),
);

function review(group: string, version: string, kind: string, description: string, fields: TProperties, namespaced = false): KindDefinition {
  const plural = `${kind.toLowerCase()}s`;
  return {
    group,
    version,
    kind,
    plural,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced,
    description,
    schema: new ObjectSchema(
      Type.Object({ apiVersion: Type.String({ description: `${group}/${version}` }), kind: Type.String({ description: kind }), metadata: ObjectMeta, ...fields }),
    ),
    statusSubresource: false,
    verbs: ['create'],
    nameProblem: subdomainProblem,
    columns: [nameColumn],
  };
}

const authorization = 'authorization.k8s.io';
const authentication = 'authentication.k8s.io';
const spec = (fields: TProperties) => Type.Object(fields, { description: 'The question.' });

export const selfSubjectAccessReviewKind = review(authorization, 'v1', 'SelfSubjectAccessReview', 'Asks whether who asks may do something.', { spec: spec(asked), status: AccessStatus });
export const selfSubjectRulesReviewKind = review(authorization, 'v1', 'SelfSubjectRulesReview', 'Asks for everything that who asks may do.', {
  spec: spec({ namespace: text('In which namespace.') }),
  status: RulesStatus,
});
export const subjectAccessReviewKind = review(authorization, 'v1', 'SubjectAccessReview', 'Asks whether somebody may do something.', { spec: spec({ ...asked, ...subject }), status: AccessStatus });
export const localSubjectAccessReviewKind = review(
  authorization, 'v1', 'LocalSubjectAccessReview', 'Asks whether somebody may do something in one namespace.', { spec: spec({ ...asked, ...subject }), status: AccessStatus }, true,
);

const whoAmI = 'Asks who the server takes the caller for.';
export const selfSubjectReviewKind = review(authentication, 'v1', 'SelfSubjectReview', whoAmI, { status: UserStatus });
/** What kubectl 1.27 asks for. */
export const selfSubjectReviewBetaKind = review(authentication, 'v1beta1', 'SelfSubjectReview', whoAmI, { status: UserStatus });

export const reviewKinds: readonly KindDefinition[] = [
  selfSubjectReviewKind, selfSubjectReviewBetaKind, localSubjectAccessReviewKind, selfSubjectAccessReviewKind, selfSubjectRulesReviewKind, subjectAccessReviewKind,
];

/** The user and the rights that a SubjectAccessReview asks about. */
export interface AccessReviewSpec {
  resourceAttributes?: ResourceAttributes;
  nonResourceAttributes?: { path?: string; verb?: string };
  user?: string;
  groups?: string[];
}

export type AccessReview = KubeObject & { spec: AccessReviewSpec };
