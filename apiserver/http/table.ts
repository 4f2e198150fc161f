// table.ts: objects as rows, so that `kubectl get` prints our columns. The cells are made here, ages too.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables

import { notSupported, ApiError } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { ListReply, Rendered } from '../resources/service.js';
import type { NegotiatedShape } from './accept.js';
import { isWritable, type EventObject } from './watch-lines.js';
import { hasNoManagedFields, withoutManagedFields } from './without-managed-fields.js';

const includes = ['None', 'Metadata', 'Object'] as const;
/** What each row carries beside its cells. */
export type IncludeObject = (typeof includes)[number];

/** @throws ApiError Invalid */
export function includeObject(query: URLSearchParams): IncludeObject {
  const asked = query.get('includeObject') || 'Metadata';
  const known = includes.find((value) => value === asked);
  if (known) return known;
  const { message, reason, field } = notSupported('includeObject', asked, includes);
  throw new ApiError('Invalid', `TableOptions.meta.k8s.io "" is invalid: ${field}: ${message}`, { group: 'meta.k8s.io', kind: 'TableOptions', causes: [{ reason, message, field }] });
}

/** Turns objects into the shape that the client asked for. One per request. */
export interface Shaper {
  object(rendered: Rendered): string;
  /** The text in parts of some hundred objects each, made as they are taken: one whole would hold up everybody else. */
  list(reply: ListReply): Iterable<string>;
  /** The object of a watch event. The first table carries the columns, later ones need not. */
  event(rendered: Rendered): EventObject;
  bookmark(rendered: Rendered): string;
}

/** @param now milliseconds since the epoch, asked for each reply */
export function shaperFor(kind: KindDefinition, { shape, version, omitManagedFields }: NegotiatedShape, include: IncludeObject, now: () => number): Shaper {
  const apiVersion = kind.group ? `${kind.group}/${kind.version}` : kind.version;
  if (shape === 'table') return tableShaper(kind, version, include, now);
  if (shape === 'metadata') {
    const head = `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/${version}","metadata":`;
    const one = (rendered: Rendered): string => partialMetadata(rendered, version, omitManagedFields);
    return { object: one, event: one, bookmark: one, list: (reply) => listParts(`${head}${listMeta(reply)},"items":[`, reply, one) };
  }
  const head = `{"kind":"${kind.listKind ?? `${kind.kind}List`}","apiVersion":"${apiVersion}","metadata":`;
  const one = omitManagedFields ? withoutManagedFields : (rendered: Rendered): string => rendered.json;
  const event = omitManagedFields ? (rendered: Rendered): EventObject => (hasNoManagedFields(rendered) ? asItIs(rendered) : withoutManagedFields(rendered)) : asItIs;
  return { object: one, event, bookmark: one, list: (reply) => listParts(`${head}${listMeta(reply)},"items":[`, reply, one) };
}

function asItIs(rendered: Rendered): EventObject {
  return isWritable(rendered) ? rendered : rendered.json;
}

function listMeta(reply: ListReply): string {
  const { resourceVersion, continue: token, remainingItemCount } = reply;
  return JSON.stringify({ resourceVersion, ...(token ? { continue: token } : {}), ...(remainingItemCount === undefined ? {} : { remainingItemCount }) });
}

/** Objects whose text is made in one go. */
export const objectsPerPart = 500;

function* listParts(head: string, reply: ListReply, one: (rendered: Rendered) => string): Iterable<string> {
  let text = head;
  let inPart = 0;
  let separator = '';
  for (const item of reply.items) {
    text += separator + one(item);
    separator = ',';
    if (++inPart < objectsPerPart) continue;
    yield text;
    text = '';
    inPart = 0;
  }
  yield `${text}]}\n`;
}

function partialMetadata(rendered: Rendered, version: string, omitManagedFields?: boolean): string {
  const { metadata } = rendered.object;
  const shown = omitManagedFields ? { ...metadata, managedFields: undefined } : metadata;
  return `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/${version}","metadata":${JSON.stringify(shown)}}`;
}

function tableShaper(kind: KindDefinition, version: 'v1' | 'v1beta1', include: IncludeObject, now: () => number): Shaper {
  const columns = JSON.stringify(
    kind.columns.map(({ name, type, format, description, priority }) => ({ name, type, format: format ?? '', description, priority })),
  );
  const head = (meta: string, columnsText: string): string =>
    `{"kind":"Table","apiVersion":"meta.k8s.io/${version}","metadata":${meta},"columnDefinitions":${columnsText},"rows":[`;
  const table = (meta: string, columnsText: string, rows: string): string => `${head(meta, columnsText)}${rows}]}`;
  const row = (rendered: Rendered, at: number): string => {
    const cells = JSON.stringify(kind.columns.map((column) => column.cell(rendered.object, at)));
    if (include === 'None') return `{"cells":${cells},"object":null}`;
    return `{"cells":${cells},"object":${include === 'Object' ? rendered.json : partialMetadata(rendered, version)}}`;
  };
  const metaOf = (rendered: Rendered): string => JSON.stringify({ resourceVersion: rendered.object.metadata.resourceVersion });
  let columnsSent = false;
  const eventColumns = (): string => {
    const text = columnsSent ? '[]' : columns;
    columnsSent = true;
    return text;
  };
  return {
    object: (rendered) => table(metaOf(rendered), columns, row(rendered, now())),
    list(reply) {
      const at = now();
      return listParts(head(listMeta(reply), columns), reply, (item) => row(item, at));
    },
    event: (rendered) => table(metaOf(rendered), eventColumns(), row(rendered, now())),
    bookmark: (rendered) => table(bookmarkMeta(rendered), eventColumns(), ''),
  };
}

/** A bookmark's annotation says that the initial events are over: it must survive the change of shape. */
function bookmarkMeta(rendered: Rendered): string {
  const { resourceVersion, annotations } = rendered.object.metadata;
  return JSON.stringify({ resourceVersion, ...(annotations ? { annotations } : {}) });
}
