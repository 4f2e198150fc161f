// authorization.ts
//
// Who may do what. Pure: the rules below, and what they need to know of the world passed in.
//
//   system:masters                    everything
//   system:kube-controller-manager    everything: the controllers act for every user
//   system:node:NAME (system:nodes)   its own node, the tasks bound to it, and what those refer to
//   any user                          what every client needs to find its way: discovery, version, health
//
// Messages are those of Kubernetes, which clients show as they are.

import { forbidden, type ApiError, type ResourceName } from '../../api/errors.js';
import { eventKind } from '../../api/event.js';
import { eventV1Kind } from '../../api/event-v1.js';
import { configMapKind, secretKind } from '../../api/config.js';
import { nodeKind } from '../../api/node.js';
import { bulkPaths } from '../../api/protocol.js';
import { fixedField, parseFieldSelector } from '../../api/selectors.js';
import { taskKind, type Task } from '../../api/task.js';
import type { User } from './service.js';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

export interface Attributes {
  /** For a path that is no resource: the HTTP method in lower case. */
  verb: string;
  kind?: ResourceName;
  namespace?: string;
  /** For a create: the name that the body gives. */
  name?: string;
  subresource?: string;
  fieldSelector?: string;
  /** Of a request that is about no resource of the table. */
  path?: string;
  /** The nodeName that the body of a bulk status request gives. */
  bulkNodeName?: string;
}

export interface Lookups {
  task(namespace: string, name: string): Task | undefined;
  tasksBoundTo(nodeName: string): Iterable<Task>;
}

export type Decision = { allowed: true } | { allowed: false; message: string };

const allowed: Decision = { allowed: true };
const userOfNode = 'system:node:';
const nodesGroup = 'system:nodes';
const unrestrictedUser = 'system:kube-controller-manager';
const unrestrictedGroup = 'system:masters';

/** Paths that any authenticated user may read: discovery (not what it leads to), schemas, version, health. */
const openPaths = /^\/(api(\/[^/]+)?|apis(\/[^/]+){0,2}|(openapi|version|healthz|livez|readyz)(\/.*)?)$/;
/** What any authenticated user may ask about itself. */
const selfReviewPaths = /^\/apis\/(authorization|authentication)\.k8s\.io\/v1(beta1)?\/selfsubject[a-z]+$/;

export function authorize(user: User, attributes: Attributes, lookups: Lookups): Decision {
  if (user.groups.includes(unrestrictedGroup) || user.name === unrestrictedUser) return allowed;
  if (isBulk(attributes.path)) return nodeOf(user) === undefined ? refused(user, attributes) : authorizeNodeBulk(user, attributes);
  if (attributes.kind === undefined ? isOpen(attributes) : isSelfReview(attributes, attributes.kind)) return allowed;
  const nodeName = nodeOf(user);
  if (nodeName === undefined || attributes.kind === undefined) return refused(user, attributes);
  const why = nodeRefusal(nodeName, attributes, attributes.kind, lookups);
  return why === undefined ? allowed : refused(user, attributes, why);
}

/** The Forbidden error of a refusal. */
export function refusalError(attributes: Attributes, message: string): ApiError {
  return forbidden(attributes.kind, attributes.name ?? '', message);
}

/** The node whose agent this user is. */
export function nodeOf({ name, groups }: User): string | undefined {
  return groups.includes(nodesGroup) && name.startsWith(userOfNode) ? name.slice(userOfNode.length) || undefined : undefined;
}

function isOpen({ verb, path = '' }: Attributes): boolean {
  return verb === 'get' ? openPaths.test(path) : verb === 'post' && selfReviewPaths.test(path);
}

/** The same, where somebody asks whether they may ask. */
function isSelfReview({ verb, subresource }: Attributes, { group, plural }: ResourceName): boolean {
  return verb === 'create' && subresource === undefined && selfReviewPaths.test(`/apis/${group}/v1/${plural}`);
}

const allBulkPaths: ReadonlySet<string> = new Set(Object.values(bulkPaths));

function isBulk(path: string | undefined): boolean {
  return path !== undefined && allBulkPaths.has(path);
}

function authorizeNodeBulk(user: User, attributes: Attributes): Decision {
  const { path, bulkNodeName } = attributes;
  if (path === bulkPaths.events) return allowed;
  if (path !== bulkPaths.status) return refused(user, attributes);
  return bulkNodeName === nodeOf(user) ? allowed : refused(user, attributes, 'an agent may report on the tasks of its own node only');
}

/** Why the agent of `nodeName` may not do this; undefined when it may, '' when there is no more to say. */
function nodeRefusal(nodeName: string, attributes: Attributes, kind: ResourceName, lookups: Lookups): string | undefined {
  if (is(kind, nodeKind)) return ownNodeRefusal(nodeName, attributes);
  if (is(kind, taskKind)) return boundTaskRefusal(nodeName, attributes, lookups);
  if (is(kind, eventKind) || is(kind, eventV1Kind)) return ['create', 'update', 'patch'].includes(attributes.verb) && !attributes.subresource ? undefined : '';
  if (is(kind, secretKind) || is(kind, configMapKind)) return referredRefusal(nodeName, attributes, kind, lookups);
  return '';
}

function ownNodeRefusal(nodeName: string, { verb, name, subresource }: Attributes): string | undefined {
  if (['get', 'list', 'watch'].includes(verb) && (subresource === undefined || subresource === 'status')) return undefined;
  const own = name === nodeName;
  switch (subresource) {
    case undefined:
      return ['create', 'update', 'patch'].includes(verb) ? (own ? undefined : notOwnNode) : '';
    case 'status':
      return ['update', 'patch'].includes(verb) ? (own ? undefined : notOwnNode) : '';
    case 'presence':
    case 'tunnel':
      return own ? undefined : notOwnNode;
    default:
      return '';
  }
}

const notOwnNode = 'an agent may act for its own node only';

function boundTaskRefusal(nodeName: string, { verb, namespace, name, subresource, fieldSelector }: Attributes, lookups: Lookups): string | undefined {
  if (subresource !== undefined || !['get', 'list', 'watch'].includes(verb)) return '';
  // The name alone says what a get is about, whatever its query selects.
  if (verb !== 'get' && selectsNode(fieldSelector, nodeName)) return undefined;
  const task = verb === 'get' && name !== undefined ? lookups.task(namespace ?? '', name) : undefined;
  if (task?.status?.nodeName === nodeName) return undefined;
  return `an agent may read the tasks of its own node only; select them by status.nodeName=${nodeName}`;
}

function selectsNode(fieldSelector: string | undefined, nodeName: string): boolean {
  try {
    return fixedField(parseFieldSelector(fieldSelector ?? ''), 'status.nodeName') === nodeName;
  } catch {
    return false;
  }
}

function referredRefusal(nodeName: string, { verb, namespace, name, subresource }: Attributes, kind: ResourceName, lookups: Lookups): string | undefined {
  if (verb !== 'get' || subresource !== undefined || name === undefined) return `an agent may only get the ${kind.plural} that tasks of its node refer to, one by one`;
  const refers = is(kind, secretKind) ? 'secretKeyRef' : 'configMapKeyRef';
  for (const { metadata, spec } of lookups.tasksBoundTo(nodeName)) {
    if (metadata.namespace === namespace && spec.env?.some(({ valueFrom }) => valueFrom?.[refers]?.name === name)) return undefined;
  }
  return `no task of node ${nodeName} refers to it`;
}

function is(kind: ResourceName, other: ResourceName): boolean {
  return kind.plural === other.plural && kind.group === other.group;
}

function refused(user: User, attributes: Attributes, why = ''): Decision {
  const { verb, kind, namespace, subresource, path = '' } = attributes;
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`;
  const scope = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope';
  const what = kind
    ? `resource ${JSON.stringify(subresource ? `${kind.plural}/${subresource}` : kind.plural)} in API group ${JSON.stringify(kind.group)} ${scope}`
    : `path ${JSON.stringify(path)}`;
  return { allowed: false, message: `${who} ${what}${why ? `: ${why}` : ''}` };
}
