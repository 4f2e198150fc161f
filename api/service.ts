// service.ts: v1 Service, of which there are none. `kubectl cluster-info` and other tools list services before they do
// anything else, and take a missing kind for a broken cluster.

import { Type } from 'typebox';
import { ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { labelProblem } from './names.js';
import { ObjectSchema } from './schema.js';

export interface Service extends KubeObject {
  apiVersion: 'v1';
  kind: 'Service';
}

export const serviceKind: KindDefinition<Service> = {
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: [],
  namespaced: true,
  description: 'Taskplane has no services: this list is always empty, for tools that look for services before anything else.',
  schema: new ObjectSchema(
    Type.Object(
      { apiVersion: Type.String({ description: 'v1' }), kind: Type.String({ description: 'Service' }), metadata: ObjectMeta },
      { 'x-kubernetes-preserve-unknown-fields': true },
    ),
  ),
  statusSubresource: false,
  verbs: ['get', 'list', 'watch'],
  whyNot: 'Taskplane has no services: a task listens on its node, and others reach it at the address of the node',
  nameProblem: labelProblem,
  columns: [nameColumn, ageColumn],
};
