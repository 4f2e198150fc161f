import { describe, expect, it } from '@jest/globals';
import { negotiateDiscovery, negotiateShape, parseAccept, type ReplyForm } from './accept.js';

const table = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';
const protobuf = 'application/vnd.kubernetes.protobuf';

describe('negotiateShape', () => {
  it.each<[string | undefined, string, string]>([
    [undefined, 'plain', 'v1'],
    ['', 'plain', 'v1'],
    ['*/*', 'plain', 'v1'],
    ['text/html, */*;q=0.8', 'plain', 'v1'],
    [protobuf, 'plain', 'v1'],
    [`${protobuf},application/json`, 'plain', 'v1'],
    [table, 'table', 'v1'],
    [`${protobuf};as=Table;v=v1;g=meta.k8s.io,${table}`, 'table', 'v1'],
    ['application/json;as=Table;v=v1beta1;g=meta.k8s.io', 'table', 'v1beta1'],
    ['application/json; AS=Table; G="meta.k8s.io"; V=v1', 'table', 'v1'],
    ['application/json, application/json;as=Table;v=v1;g=meta.k8s.io', 'plain', 'v1'],
    ['application/json;as=Table;v=v1;g=meta.k8s.io;q=0, application/json', 'plain', 'v1'],
    ['application/json;as=Table;v=v2;g=meta.k8s.io, application/json', 'plain', 'v1'],
    ['application/json;as=Table;v=v1;g=other,*/*', 'plain', 'v1'],
    ['application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io', 'metadata', 'v1'],
    ['application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json', 'plain', 'v1'],
  ])('takes %p for a list as %s (%s)', (header, shape, version) => {
    expect(negotiateShape(header, 'list')).toEqual({ shape, version });
  });

  it('gives the metadata of one object to whom asks for that of one', () => {
    expect(negotiateShape('application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', 'object').shape).toBe('metadata');
    expect(negotiateShape('application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json', 'object').shape).toBe('plain');
  });

  it('leaves managedFields out for whom asks for it, in lists and in streams', () => {
    expect(negotiateShape('application/json;managedFields=omit', 'watch')).toEqual({ shape: 'plain', version: 'v1', omitManagedFields: true });
    const metadata = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1;managedFields=omit';
    expect(negotiateShape(metadata, 'list')).toEqual({ shape: 'metadata', version: 'v1', omitManagedFields: true });
  });

  it('gives YAML to whom likes it best, except in a stream', () => {
    expect(negotiateShape('application/yaml, application/json', 'object')).toEqual({ shape: 'plain', version: 'v1', yaml: true });
    expect(negotiateShape('application/yaml, application/json', 'watch')).toEqual({ shape: 'plain', version: 'v1' });
  });

  it.each<[string, ReplyForm]>([
    ['text/html', 'list'],
    ['application/cbor', 'object'],
    ['application/json;as=Table;v=v2;g=meta.k8s.io', 'list'],
    ['application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io', 'object'],
    ['application/yaml', 'watch'],
  ])('refuses %p for a reply that is a %s', (header, form) => {
    expect(() => negotiateShape(header, form)).toThrow(expect.objectContaining({ code: 406, reason: 'NotAcceptable', message: expect.stringContaining('only the following media types are accepted: application/json') }));
  });
});

describe('negotiateDiscovery', () => {
  const aggregated = (version: string): string => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  it.each<[string | undefined, string | undefined]>([
    [undefined, undefined],
    ['application/json', undefined],
    [aggregated('v2'), 'v2'],
    [`${aggregated('v2')},${aggregated('v2beta1')},application/json`, 'v2'],
    [`${aggregated('v2beta1')},application/json`, 'v2beta1'],
    [`${aggregated('v3')},application/json`, undefined],
  ])('takes %p as %p', (header, version) => {
    expect(negotiateDiscovery(header)).toBe(version);
  });
});

describe('parseAccept', () => {
  it('makes something of anything', () => {
    expect(parseAccept(',, ;a=b, x/y ;q=0.5;k , /;=;;')).toEqual([
      { type: 'x/y', parameters: { q: '0.5' } },
      { type: '/', parameters: {} },
    ]);
  });
});
