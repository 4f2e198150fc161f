// server-table.ts: objects as the rows that the server makes of them, so that columns and ages are told in one place.

import { ApiError, type Status } from '../api/errors.js';
import { collectionPath, objectPath } from '../api/kinds.js';
import type { KindDefinition } from '../api/kind.js';
import type { ApiClient } from '../client/api-client.js';
import { watchBatches } from '../client/watch-stream.js';
import type { KubeObject, ObjectMeta } from '../api/meta.js';

export interface TableColumn {
  name: string;
  type?: string;
  format?: string;
  priority?: number;
}

export interface TableRow {
  cells: readonly unknown[];
  object?: { metadata?: ObjectMeta } | null;
}

export interface Table {
  kind: 'Table';
  metadata?: { resourceVersion?: string; continue?: string };
  columnDefinitions: readonly TableColumn[];
  rows: readonly TableRow[];
}

export interface TableQuery {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
const pageItemsMax = 500;

/** @throws ApiError, TransportError */
export async function getTable(client: ApiClient, kind: KindDefinition, name: string, namespace?: string): Promise<Table> {
  return request(client, objectPath(kind, name, namespace), {});
}

/** All pages as one table. @throws ApiError, TransportError */
export async function listTable(client: ApiClient, kind: KindDefinition, { namespace, ...selectors }: TableQuery): Promise<Table> {
  const path = collectionPath(kind, namespace);
  const first = await request(client, path, { ...selectors, limit: pageItemsMax });
  const rows = [...first.rows];
  for (let next = first.metadata?.continue; next; ) {
    const page = await request(client, path, { ...selectors, limit: pageItemsMax, continue: next });
    rows.push(...page.rows);
    next = page.metadata?.continue;
  }
  return { ...first, rows };
}

/** Each change after `resourceVersion` as a table of one row. Ends with the server or the signal. @throws ApiError, TransportError */
export async function* watchTable(
  client: ApiClient,
  kind: KindDefinition,
  { namespace, resourceVersion, signal, ...selectors }: TableQuery & { resourceVersion?: string; signal: AbortSignal },
): AsyncGenerator<{ type: string; table: Table }> {
  const path = collectionPath(kind, namespace);
  try {
    const stream = await client.transport.stream({ method: 'GET', path, headers, query: { ...selectors, resourceVersion, watch: true }, signal });
    if (stream.status >= 400) {
      const parts: Buffer[] = [];
      for await (const chunk of stream.chunks) parts.push(chunk);
      throw errorOf(stream.status, Buffer.concat(parts).toString('utf8'));
    }
    for await (const batch of watchBatches<KubeObject>(stream.chunks)) {
      for (const { type, object } of batch) if (type !== 'BOOKMARK') yield { type, table: object as unknown as Table };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function request(client: ApiClient, path: string, query: Readonly<Record<string, string | number | undefined>>): Promise<Table> {
  const reply = await client.transport.request({ method: 'GET', path, query, headers });
  if (reply.status >= 400) throw errorOf(reply.status, reply.body);
  return JSON.parse(reply.body) as Table;
}

function errorOf(code: number, body: string): ApiError {
  try {
    return ApiError.fromStatus(JSON.parse(body) as Partial<Status>, code);
  } catch {
    return ApiError.fromStatus({ message: body.slice(0, 200) }, code);
  }
}
