// accept.ts
//
// In which shape the client wants objects: as they are, as a Table, or as their metadata only. Clients name several in
// the order of their liking; the first that we can make is it. Types that we cannot make (protobuf) are passed over, and a
// client that names none that we can gets JSON: it can read the content type, and a 406 helps nobody.

export type Shape = 'plain' | 'table' | 'metadata';

export interface MediaRange {
  /** Lower case: `application/json`. */
  type: string;
  /** Lower-case names, values as they are. */
  parameters: Readonly<Record<string, string>>;
}

/** The alternatives of an Accept header in the client's order; those with q=0 are left out. */
export function parseAccept(header: string | undefined): MediaRange[] {
  if (!header) return [];
  const ranges: MediaRange[] = [];
  for (const part of header.split(',')) {
    const [type, ...rest] = part.split(';').map((text) => text.trim());
    if (!type) continue;
    const parameters: Record<string, string> = {};
    for (const parameter of rest) {
      const at = parameter.indexOf('=');
      if (at > 0) parameters[parameter.slice(0, at).trim().toLowerCase()] = parameter.slice(at + 1).trim().replace(/^"(.*)"$/, '$1');
    }
    if (parameters['q'] !== undefined && !(Number(parameters['q']) > 0)) continue;
    ranges.push({ type: type.toLowerCase(), parameters });
  }
  return ranges;
}

const jsonTypes = new Set(['application/json', 'application/*', '*/*']);
const metaVersions = new Set(['v1', 'v1beta1']);

/** Most requests ask for nothing special, and are not parsed for it. */
const asParameter = /as=/i;
const plain: NegotiatedShape = { shape: 'plain', version: 'v1' };

export interface NegotiatedShape {
  shape: Shape;
  /** Version of meta.k8s.io that the client asked for. */
  version: 'v1' | 'v1beta1';
}

/** @param collection whether the reply is a list: PartialObjectMetadataList fits only there, PartialObjectMetadata only elsewhere */
export function negotiateShape(header: string | undefined, collection: boolean): NegotiatedShape {
  if (!header || !asParameter.test(header)) return plain;
  for (const { type, parameters } of parseAccept(header)) {
    if (!jsonTypes.has(type)) continue;
    const as = parameters['as'];
    if (as === undefined) return plain;
    if (parameters['g'] !== 'meta.k8s.io' || !metaVersions.has(parameters['v'] ?? '')) continue;
    const version = parameters['v'] as 'v1' | 'v1beta1';
    if (as === 'Table') return { shape: 'table', version };
    if (as === (collection ? 'PartialObjectMetadataList' : 'PartialObjectMetadata')) return { shape: 'metadata', version };
  }
  return plain;
}

/** The version of aggregated discovery that the client likes best, or undefined for the plain form. */
export function negotiateDiscovery(header: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parseAccept(header)) {
    if (!jsonTypes.has(type)) continue;
    if (parameters['as'] === undefined) return undefined;
    const { g, v, as } = parameters;
    if (g === 'apidiscovery.k8s.io' && as === 'APIGroupDiscoveryList' && (v === 'v2' || v === 'v2beta1')) return v;
  }
  return undefined;
}
