import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { kinds, objectPath } from '../../api/kinds.js';
import { parsePath, verbOf, type Route } from './route.js';

const resource = (fields: Partial<Extract<Route, { type: 'resource' }>>): Route => ({
  type: 'resource', group: '', version: 'v1', plural: 'nodes', namespace: undefined, name: undefined, subresource: undefined, ...fields,
});

describe('parsePath', () => {
  it.each<[string, Route]>([
    ['/api', { type: 'discovery', root: 'api', group: undefined, version: undefined }],
    ['/api/', { type: 'discovery', root: 'api', group: undefined, version: undefined }],
    ['/api/v1', { type: 'discovery', root: 'api', group: '', version: 'v1' }],
    ['/apis', { type: 'discovery', root: 'apis', group: undefined, version: undefined }],
    ['/apis/g', { type: 'discovery', root: 'apis', group: 'g', version: undefined }],
    ['/apis/g/v1', { type: 'discovery', root: 'apis', group: 'g', version: 'v1' }],
    ['/api/v1/nodes', resource({})],
    ['/api/v1/nodes/n1', resource({ name: 'n1' })],
    ['/api/v1/nodes/n1/status', resource({ name: 'n1', subresource: 'status' })],
    ['/api/v1/namespaces', resource({ plural: 'namespaces' })],
    ['/api/v1/namespaces/a', resource({ plural: 'namespaces', name: 'a' })],
    ['/api/v1/namespaces/a/status', resource({ plural: 'namespaces', name: 'a', subresource: 'status' })],
    ['/api/v1/namespaces/a/secrets', resource({ plural: 'secrets', namespace: 'a' })],
    ['/api/v1/namespaces/a/status/x', resource({ plural: 'status', namespace: 'a', name: 'x' })],
    ['/apis/g/v1/namespaces/a/things/b/log', resource({ group: 'g', plural: 'things', namespace: 'a', name: 'b', subresource: 'log' })],
    ['/api/v1/nodes/a%20b', resource({ name: 'a b' })],
    ['/livez/ping', { type: 'other', segments: ['livez', 'ping'] }],
    ['/', { type: 'other', segments: [''] }],
    ['/api/v1/nodes/n1/proxy/a/b', { type: 'other', segments: ['apis', '', 'v1', 'nodes', 'n1', 'proxy', 'a', 'b'] }],
    ['//', { type: 'malformed' }],
    ['/api//v1', { type: 'malformed' }],
    ['/api/v1/nodes/a%2Fb', { type: 'malformed' }],
    ['/api/v1/nodes/%', { type: 'malformed' }],
    ['/api/v1/nodes/a%00', { type: 'malformed' }],
    ['*', { type: 'malformed' }],
    ['', { type: 'malformed' }],
  ])('reads %s', (path, route) => {
    expect(parsePath(path)).toEqual(route);
  });

  it('reads back the path of any object of any kind', () => {
    const segment = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !text.includes('/') && !text.includes('\0'));
    fc.assert(
      fc.property(fc.constantFrom(...kinds), segment, segment, (kind, namespace, name) => {
        const route = parsePath(objectPath(kind, name, namespace));
        expect(route).toEqual(resource({ group: kind.group, version: kind.version, plural: kind.plural, name, namespace: kind.namespaced ? namespace : undefined }));
      }),
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (path) => expect(parsePath(`/${path}`).type).toBeDefined()));
  });
});

describe('verbOf', () => {
  it.each<[string, boolean, boolean, string | undefined]>([
    ['GET', true, false, 'get'], ['GET', false, false, 'list'], ['GET', false, true, 'watch'], ['HEAD', true, false, 'get'],
    ['POST', false, false, 'create'], ['POST', true, false, undefined], ['PUT', true, false, 'update'], ['PUT', false, false, undefined],
    ['PATCH', true, false, 'patch'], ['PATCH', false, false, undefined], ['DELETE', true, false, 'delete'], ['DELETE', false, false, 'deletecollection'],
    ['OPTIONS', false, false, undefined],
  ])('takes %s (name %p, watch %p) as %s', (method, hasName, watch, verb) => {
    expect(verbOf(method, hasName, watch)).toBe(verb);
  });
});
