import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../../api/meta.js';
import { Entry, encodeObject } from './entry.js';

describe('encodeObject', () => {
  it('leaves the revision out and begins with apiVersion, kind and metadata, in whatever order the object has them', () => {
    const metadata = { name: 'a', labels: { metadata: 'b' } };
    const text = '{"apiVersion":"v1","kind":"Thing","metadata":{"name":"a","labels":{"metadata":"b"}},"spec":{"resourceVersion":"1"}}';
    const spec = { resourceVersion: '1' };
    const objects = [
      { apiVersion: 'v1', kind: 'Thing', metadata, spec },
      { apiVersion: 'v1', kind: 'Thing', metadata: { resourceVersion: '7', ...metadata }, spec },
      { apiVersion: 'v1', kind: 'Thing', metadata: { resourceVersion: undefined, ...metadata }, spec },
      { kind: 'Thing', apiVersion: 'v1', metadata, spec },
      { apiVersion: 'v1', kind: 'Thing', spec, metadata },
      { spec, metadata: { ...metadata, resourceVersion: '7' }, kind: 'Thing', apiVersion: 'v1' },
    ] as unknown as KubeObject[];
    expect(objects.map(encodeObject)).toEqual(objects.map(() => text));
    expect(new Entry('k', text, 9).object).toEqual({ ...objects[0], metadata: { ...metadata, resourceVersion: '9' } });
  });
});
