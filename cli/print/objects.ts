// objects.ts: whole objects as JSON and YAML, the way `kubectl get -o` prints them.

import { stringify } from 'yaml';
import type { KubeObject } from '../../api/meta.js';

export type ObjectFormat = 'json' | 'yaml';

/** One object as it is; several as a List. */
export function objectsText(objects: readonly KubeObject[], format: ObjectFormat, asList: boolean): string {
  const shown = objects.map(withoutManagedFields);
  const value = asList ? { apiVersion: 'v1', items: shown, kind: 'List', metadata: { resourceVersion: '' } } : shown[0];
  if (format === 'json') return `${JSON.stringify(value, undefined, 4)}\n`;
  return stringify(value, { sortMapEntries: true, lineWidth: 0, version: '1.1' });
}

/** They tell tools, not people, who set which field. */
function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _m, ...metadata } = object.metadata;
  return { ...object, metadata };
}
