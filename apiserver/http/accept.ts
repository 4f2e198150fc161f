// accept.ts
//
// In which shape the client wants objects: as they are, as a Table, or as their metadata only; and as JSON or YAML. Clients
// name several in the order of their liking; the first that we can make is it. A client that names protobuf gets JSON: it
// reads the content type of the reply, and a 406 helps nobody.

import { ApiError } from '../../api/errors.js';

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

const protobufType = 'application/vnd.kubernetes.protobuf';
const jsonTypes = new Set(['application/json', 'application/*', '*/*']);
const metaVersions = new Set(['v1', 'v1beta1']);

export interface NegotiatedShape {
  shape: Shape;
  /** Version of meta.k8s.io that the client asked for. */
  version: 'v1' | 'v1beta1';
  /** Only for objects and lists as they are. */
  yaml?: true;
  /** Without metadata.managedFields, a third of a small object: `application/json;managedfields=omit`. */
  omitManagedFields?: true;
}

const plain: NegotiatedShape = { shape: 'plain', version: 'v1' };
const plainOmitted: NegotiatedShape = { ...plain, omitManagedFields: true };
const plainYaml: NegotiatedShape = { shape: 'plain', version: 'v1', yaml: true };

/** What the reply holds: PartialObjectMetadataList fits a list only, PartialObjectMetadata everything else, YAML no stream of events. */
export type ReplyForm = 'object' | 'list' | 'watch';

/** Answers so far: a client sends the same header each time. */
const known: Record<ReplyForm, Map<string, NegotiatedShape>> = { object: new Map(), list: new Map(), watch: new Map() };
const knownMax = 100;

/** @throws ApiError NotAcceptable for a header that names only what the server cannot make */
export function negotiateShape(header: string | undefined, form: ReplyForm): NegotiatedShape {
  if (!header) return plain;
  const answers = known[form];
  let answer = answers.get(header);
  if (!answer) {
    answer = chosen(parseAccept(header), form);
    if (answers.size >= knownMax) answers.clear();
    answers.set(header, answer);
  }
  return answer;
}

function chosen(ranges: readonly MediaRange[], form: ReplyForm): NegotiatedShape {
  if (ranges.length === 0) return plain;
  const metadataKind = form === 'list' ? 'PartialObjectMetadataList' : 'PartialObjectMetadata';
  for (const { type, parameters } of ranges) {
    const as = parameters['as'];
    if (type === 'application/yaml' && as === undefined && form !== 'watch') return plainYaml;
    if (!jsonTypes.has(type)) continue;
    const omit = parameters['managedfields'] === 'omit';
    if (as === undefined) return omit ? plainOmitted : plain;
    if (parameters['g'] !== 'meta.k8s.io' || !metaVersions.has(parameters['v'] ?? '')) continue;
    const version = parameters['v'] as 'v1' | 'v1beta1';
    if (as === 'Table') return { shape: 'table', version };
    if (as === metadataKind) return { shape: 'metadata', version, ...(omit ? { omitManagedFields: true } : {}) };
  }
  if (ranges.some(({ type }) => type === protobufType)) return plain;
  throw new ApiError('NotAcceptable', `only the following media types are accepted: application/json${form === 'watch' ? '' : ', application/yaml'}`);
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
