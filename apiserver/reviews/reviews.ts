// reviews.ts: who am I, what may I do, may somebody else: answered from the authorizer, never stored.

import { ApiError, badRequest, invalid, invalidValue, type FieldProblem } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { localSubjectAccessReviewKind, reviewKinds, selfSubjectRulesReviewKind, subjectAccessReviewKind, type AccessReview, type AccessReviewSpec } from '../../api/reviews.js';
import type { Endpoint } from '../http/endpoint.js';
import { methodNotAllowed } from '../http/errors.js';
import { jsonReply, type ServerReply, type ServerRequest } from '../http/message.js';
import { writeOptions } from '../http/query.js';
import { readValue } from '../http/resource-requests.js';
import type { ResourceRoute } from '../http/route.js';
import { decodeObject, isMapping } from '../resources/admission.js';
import type { Attributes } from '../resources/authorization.js';
import type { Caller, User } from '../resources/service.js';
import { rulesOf } from './rules.js';

/** Every user whose credentials hold is in it; they need not say so. */
const authenticatedGroup = 'system:authenticated';
const selfReview = /^selfsubject/;
const reviewGroup = /^auth(?:entication|orization)\.k8s\.io$/;

const kindsByPath = new Map(reviewKinds.map((kind) => [`${kind.group}/${kind.version}/${kind.plural}`, kind]));

export interface ReviewsOptions {
  /** @throws ApiError Forbidden */
  authorize(user: User, attributes: Attributes): void;
}

export class Reviews {
  constructor(private readonly options: ReviewsOptions) {}

  /** Undefined when the path is no review. */
  endpoint(route: ResourceRoute, request: ServerRequest): Endpoint | undefined {
    if (!reviewGroup.test(route.group)) return undefined;
    const kind = kindsByPath.get(`${route.group}/${route.version}/${route.plural}`);
    if (!kind || route.subresource !== undefined || (route.namespace !== undefined && !kind.namespaced)) return undefined;
    const { method, path } = request;
    const verb = method === 'POST' ? 'create' : method.toLowerCase();
    // Anybody may ask about themselves, which the authorizer knows by the path.
    const attributes: Attributes = selfReview.test(kind.plural)
      ? { verb: method.toLowerCase(), path }
      : { verb, kind, ...(route.namespace === undefined ? {} : { namespace: route.namespace }) };
    const label = { verb: method === 'POST' ? 'create' : 'unknown', resource: kind.plural };
    if (method !== 'POST' || route.name !== undefined || (kind.namespaced && route.namespace === undefined)) return { attributes, label, run: () => Promise.reject(methodNotAllowed()) };
    return { attributes, label, run: (asked, caller) => this.#create(kind, route.namespace, asked, caller) };
  }

  async #create(kind: KindDefinition, namespace: string | undefined, request: ServerRequest, caller: Caller): Promise<ServerReply> {
    const { fieldValidation } = writeOptions(request.query, request.headers['user-agent'], 'CreateOptions');
    const { status: _answer, ...review } = decodeObject(caller, kind, await readValue(request), fieldValidation);
    const problems = [...kind.schema.problems(review)];
    if (problems.length === 0) problems.push(...specProblems(kind, review, namespace));
    if (problems.length > 0) throw invalid(kind, '', problems);
    return jsonReply(201, { ...review, status: this.#status(kind, review, namespace, caller.user) });
  }

  #status(kind: KindDefinition, review: KubeObject, namespace: string | undefined, user: User): unknown {
    if (kind.kind === 'SelfSubjectReview') return { userInfo: { username: user.name, groups: groupsOf(user) } };
    if (kind === selfSubjectRulesReviewKind) return rulesOf(user);
    const { spec } = review as AccessReview;
    const self = selfReview.test(kind.plural);
    return this.#access(self ? user : { name: spec.user ?? '', groups: spec.groups ?? [] }, spec, namespace);
  }

  #access(user: User, spec: AccessReviewSpec, namespace: string | undefined): unknown {
    try {
      this.options.authorize(user, attributesOf(spec, namespace));
      return { allowed: true };
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'Forbidden') return { allowed: false, reason: error.message };
      throw error;
    }
  }
}

function groupsOf({ groups }: User): string[] {
  return groups.includes(authenticatedGroup) ? [...groups] : [...groups, authenticatedGroup];
}

function attributesOf({ resourceAttributes, nonResourceAttributes }: AccessReviewSpec, reviewNamespace: string | undefined): Attributes {
  if (!resourceAttributes) return { verb: nonResourceAttributes?.verb ?? '', path: nonResourceAttributes?.path ?? '' };
  const { verb = '', group = '', resource = '', name, subresource, fieldSelector } = resourceAttributes;
  const namespace = resourceAttributes.namespace ?? reviewNamespace;
  return {
    verb,
    kind: { group, plural: resource, kind: resource },
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {}),
    ...(subresource ? { subresource } : {}),
    ...(fieldSelector?.rawSelector ? { fieldSelector: fieldSelector.rawSelector } : {}),
  };
}

/** @throws ApiError BadRequest for a question of another namespace than the path's */
function specProblems(kind: KindDefinition, review: KubeObject, namespace: string | undefined): FieldProblem[] {
  if (kind.kind === 'SelfSubjectReview') return [];
  const spec = isMapping(review.spec) ? (review.spec as AccessReviewSpec & { namespace?: string }) : {};
  if (kind === selfSubjectRulesReviewKind) return spec.namespace ? [] : [{ field: 'spec.namespace', reason: 'FieldValueRequired', message: 'Required value' }];
  const problems: FieldProblem[] = [];
  const { resourceAttributes, nonResourceAttributes } = spec;
  if (resourceAttributes && nonResourceAttributes) problems.push(invalidValue('spec.nonResourceAttributes', nonResourceAttributes, 'cannot be specified in combination with resourceAttributes'));
  if (!resourceAttributes && !nonResourceAttributes) problems.push(invalidValue('spec.resourceAttributes', null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified'));
  if ((kind === subjectAccessReviewKind || kind === localSubjectAccessReviewKind) && !spec.user && !spec.groups?.length) {
    problems.push(invalidValue('spec.user', spec.user ?? '', 'at least one of user or group must be specified'));
  }
  if (kind === localSubjectAccessReviewKind) {
    if (nonResourceAttributes) problems.push(invalidValue('spec.nonResourceAttributes', nonResourceAttributes, 'disallowed on this kind of request'));
    const given = resourceAttributes?.namespace;
    if (given !== undefined && given !== namespace) throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace ?? ''}`);
  }
  return problems;
}
