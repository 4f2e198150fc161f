// route.ts: the grammar of Kubernetes paths.
//
//   /api/v1/…, /apis/GROUP/VERSION/…           then one of
//     RESOURCE[/NAME[/SUBRESOURCE]]             cluster-wide, or all namespaces
//     namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE]]
//
// `namespaces/NAME` and `namespaces/NAME/status` are the Namespace object itself.

export interface ResourceRoute {
  type: 'resource';
  group: string;
  version: string;
  plural: string;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

export type Route =
  | ResourceRoute
  /** /api, /apis, /apis/G, /apis/G/V, /api/V; `version` is undefined for the first three. */
  | { type: 'discovery'; root: 'api' | 'apis'; group: string | undefined; version: string | undefined }
  /** Anything else; its first segment decides. */
  | { type: 'other'; segments: readonly string[] }
  /** No path that could ever name something: broken percent-encoding, empty segments, slashes inside a name. */
  | { type: 'malformed' };

const malformed: Route = { type: 'malformed' };
const namespaceSubresources = new Set(['status', 'finalize']);

/** @param path percent-encoded, starting with a slash */
export function parsePath(path: string): Route {
  const segments = decodeSegments(path);
  if (!segments) return malformed;
  const root = segments[0];
  if (root === 'api') {
    const version = segments[1];
    if (segments.length <= 2) return { type: 'discovery', root, group: version === undefined ? undefined : '', version };
    return parseResource('', version!, segments, 2);
  }
  if (root === 'apis') {
    const [, group, version] = segments;
    if (segments.length <= 3) return { type: 'discovery', root, group, version };
    return parseResource(group!, version!, segments, 3);
  }
  return { type: 'other', segments };
}

function decodeSegments(path: string): string[] | undefined {
  if (!path.startsWith('/')) return undefined;
  const end = path.length > 1 && path.endsWith('/') ? path.length - 1 : path.length;
  const raw = path.slice(1, end).split('/');
  if (!path.includes('%')) return raw.includes('') && path !== '/' ? undefined : raw;
  const decoded: string[] = [];
  for (const segment of raw) {
    const text = decode(segment);
    if (text === undefined || text === '' || text.includes('/') || text.includes('\0')) return undefined;
    decoded.push(text);
  }
  return decoded;
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** @param from where in the segments the resource begins */
function parseResource(group: string, version: string, segments: readonly string[], from: number): Route {
  const count = segments.length - from;
  const inNamespace = count >= 3 && segments[from] === 'namespaces' && !(count === 3 && namespaceSubresources.has(segments[from + 2]!));
  const at = inNamespace ? from + 2 : from;
  // Deeper paths (proxy and the like) belong to no resource of ours.
  if (segments.length - at > 3) return { type: 'other', segments: ['apis', group, version, ...segments.slice(from)] };
  return { type: 'resource', group, version, plural: segments[at]!, namespace: inNamespace ? segments[from + 1] : undefined, name: segments[at + 1], subresource: segments[at + 2] };
}

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** The verb of a request, as authorization and metrics know it; undefined when the method has no meaning there. */
export function verbOf(method: string, hasName: boolean, watch: boolean): Verb | undefined {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (watch) return 'watch';
      return hasName ? 'get' : 'list';
    case 'POST':
      return hasName ? undefined : 'create';
    case 'PUT':
      return hasName ? 'update' : undefined;
    case 'PATCH':
      return hasName ? 'patch' : undefined;
    case 'DELETE':
      return hasName ? 'delete' : 'deletecollection';
    default:
      return undefined;
  }
}
