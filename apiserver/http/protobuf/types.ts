// types.ts: the messages that clients send as protobuf, field by field, as the .proto files of k8s.io/api and
// k8s.io/apimachinery number them. https://github.com/kubernetes/api

import type { Field, FieldType, MessageType } from './reader.js';

const text = (name: string): Field => ({ name, type: 'string' });
const texts = (name: string): Field => ({ name, type: 'string', repeated: 'list' });
const textMap = (name: string): Field => ({ name, type: 'string', repeated: 'map' });
const number = (name: string): Field => ({ name, type: 'integer' });
/** Of a Go field that is a pointer, or whose zero is to be said. */
const given = (name: string, type: FieldType): Field => ({ name, type, zeroCounts: true });
const time = (name: string): Field => ({ name, type: 'time' });
const microTime = (name: string): Field => ({ name, type: 'microTime' });
const part = (name: string, type: MessageType): Field => ({ name, type });
const parts = (name: string, type: MessageType): Field => ({ name, type, repeated: 'list' });

const ownerReference: MessageType = {
  1: text('kind'), 3: text('name'), 4: text('uid'), 5: text('apiVersion'), 6: given('controller', 'boolean'), 7: given('blockOwnerDeletion', 'boolean'),
};

const managedFieldsEntry: MessageType = {
  1: text('manager'), 2: text('operation'), 3: text('apiVersion'), 4: time('time'), 6: text('fieldsType'), 7: { name: 'fieldsV1', type: 'json' }, 8: text('subresource'),
};

const objectMeta: MessageType = {
  1: text('name'), 2: text('generateName'), 3: text('namespace'), 4: text('selfLink'), 5: text('uid'), 6: text('resourceVersion'), 7: number('generation'),
  8: time('creationTimestamp'), 9: time('deletionTimestamp'), 10: given('deletionGracePeriodSeconds', 'integer'), 11: textMap('labels'), 12: textMap('annotations'),
  13: parts('ownerReferences', ownerReference), 14: texts('finalizers'), 17: parts('managedFields', managedFieldsEntry),
};
const metadata = part('metadata', objectMeta);

const objectReference: MessageType = {
  1: text('kind'), 2: text('namespace'), 3: text('name'), 4: text('uid'), 5: text('apiVersion'), 6: text('resourceVersion'), 7: text('fieldPath'),
};

const namespaceCondition: MessageType = { 1: text('type'), 2: text('status'), 4: time('lastTransitionTime'), 5: text('reason'), 6: text('message') };
const namespace: MessageType = {
  1: metadata, 2: part('spec', { 1: texts('finalizers') }), 3: part('status', { 1: text('phase'), 2: parts('conditions', namespaceCondition) }),
};

const configMap: MessageType = { 1: metadata, 2: textMap('data'), 3: { name: 'binaryData', type: 'base64', repeated: 'map' }, 4: given('immutable', 'boolean') };
const secret: MessageType = { 1: metadata, 2: { name: 'data', type: 'base64', repeated: 'map' }, 3: text('type'), 4: textMap('stringData'), 5: given('immutable', 'boolean') };
const serviceAccount: MessageType = {
  1: metadata, 2: parts('secrets', objectReference), 3: parts('imagePullSecrets', { 1: text('name') }), 4: given('automountServiceAccountToken', 'boolean'),
};

const lease: MessageType = {
  1: metadata,
  2: part('spec', {
    1: given('holderIdentity', 'string'), 2: given('leaseDurationSeconds', 'integer'), 3: microTime('acquireTime'), 4: microTime('renewTime'), 5: given('leaseTransitions', 'integer'),
    6: given('strategy', 'string'), 7: given('preferredHolder', 'string'),
  }),
};

const eventSource: MessageType = { 1: text('component'), 2: text('host') };
const eventSeries: MessageType = { 1: number('count'), 2: microTime('lastObservedTime') };
const coreEvent: MessageType = {
  1: metadata, 2: part('involvedObject', objectReference), 3: text('reason'), 4: text('message'), 5: part('source', eventSource), 6: time('firstTimestamp'), 7: time('lastTimestamp'),
  8: number('count'), 9: text('type'), 10: microTime('eventTime'), 11: part('series', eventSeries), 12: text('action'), 13: part('related', objectReference),
  14: text('reportingComponent'), 15: text('reportingInstance'),
};
const event: MessageType = {
  1: metadata, 2: microTime('eventTime'), 3: part('series', eventSeries), 4: text('reportingController'), 5: text('reportingInstance'), 6: text('action'), 7: text('reason'),
  8: part('regarding', objectReference), 9: part('related', objectReference), 10: text('note'), 11: text('type'), 12: part('deprecatedSource', eventSource),
  13: time('deprecatedFirstTimestamp'), 14: time('deprecatedLastTimestamp'), 15: number('deprecatedCount'),
};

const deleteOptions: MessageType = {
  1: given('gracePeriodSeconds', 'integer'), 2: part('preconditions', { 1: given('uid', 'string'), 2: given('resourceVersion', 'string') }), 3: given('orphanDependents', 'boolean'),
  4: given('propagationPolicy', 'string'), 5: texts('dryRun'),
};

const requirement: MessageType = { 1: text('key'), 2: text('operator'), 3: texts('values') };
const selectorAttributes: MessageType = { 1: text('rawSelector'), 2: parts('requirements', requirement) };
const resourceAttributes = part('resourceAttributes', {
  1: text('namespace'), 2: text('verb'), 3: text('group'), 4: text('version'), 5: text('resource'), 6: text('subresource'), 7: text('name'),
  8: part('fieldSelector', selectorAttributes), 9: part('labelSelector', selectorAttributes),
});
const nonResourceAttributes = part('nonResourceAttributes', { 1: text('path'), 2: text('verb') });
const subjectAccessReview: MessageType = {
  1: metadata,
  2: part('spec', {
    1: resourceAttributes, 2: nonResourceAttributes, 3: text('user'), 4: texts('groups'), 5: { name: 'extra', type: { 1: texts('items') }, repeated: 'map' }, 6: text('uid'),
  }),
};
const selfSubjectReview: MessageType = { 1: metadata };

const scale: MessageType = { 1: metadata, 2: part('spec', { 1: given('replicas', 'integer') }), 3: part('status', { 1: number('replicas'), 2: text('selector') }) };
const eviction: MessageType = { 1: metadata, 2: part('deleteOptions', deleteOptions) };
const binding: MessageType = { 1: metadata, 2: part('target', objectReference) };

const byKind = new Map<string, MessageType>([
  ['v1/Namespace', namespace],
  ['v1/ConfigMap', configMap],
  ['v1/Secret', secret],
  ['v1/ServiceAccount', serviceAccount],
  ['v1/Event', coreEvent],
  ['v1/Binding', binding],
  ['events.k8s.io/v1/Event', event],
  ['coordination.k8s.io/v1/Lease', lease],
  ['authorization.k8s.io/v1/SelfSubjectAccessReview', { 1: metadata, 2: part('spec', { 1: resourceAttributes, 2: nonResourceAttributes }) }],
  ['authorization.k8s.io/v1/SelfSubjectRulesReview', { 1: metadata, 2: part('spec', { 1: text('namespace') }) }],
  ['authorization.k8s.io/v1/SubjectAccessReview', subjectAccessReview],
  ['authorization.k8s.io/v1/LocalSubjectAccessReview', subjectAccessReview],
  ['authentication.k8s.io/v1/SelfSubjectReview', selfSubjectReview],
  ['authentication.k8s.io/v1beta1/SelfSubjectReview', selfSubjectReview],
  ['authentication.k8s.io/v1alpha1/SelfSubjectReview', selfSubjectReview],
  ['autoscaling/v1/Scale', scale],
  ['policy/v1/Eviction', eviction],
  ['policy/v1beta1/Eviction', eviction],
]);

/** Undefined for a kind that is not read from protobuf. Options of a deletion come under the version of what is deleted. */
export function messageTypeOf(apiVersion: string, kind: string): MessageType | undefined {
  return kind === 'DeleteOptions' ? deleteOptions : byKind.get(`${apiVersion}/${kind}`);
}
