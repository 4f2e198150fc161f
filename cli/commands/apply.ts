// apply.ts: makes the server's objects what the manifests say. Nothing is sent while any document has a problem.

import { isReason, type ApiError } from '../../api/errors.js';
import type { KubeObject } from '../../api/meta.js';
import type { CommandContext } from '../context.js';
import { CliError, failureText } from '../failure.js';
import type { Manifest } from '../manifests/check.js';
import { lastApplied, planApply } from '../manifests/merge.js';
import { readManifests } from '../manifests/read.js';
import { objectsText, type ObjectFormat } from '../print/objects.js';
import { objectTitle } from '../resource-args.js';
import { dequal } from 'dequal';

export interface ApplyOptions {
  filename: string[];
  recursive?: boolean;
  /** `server`: the server checks and answers, and stores nothing. `client`: nothing is sent. */
  dryRun?: 'none' | 'server' | 'client';
  output?: 'name' | ObjectFormat;
}

export type Applied = 'created' | 'configured' | 'unchanged';

/** kubectl's own: the annotation is shared with it, and so is the name under which fields are managed. */
const fieldManager = 'kubectl-client-side-apply';

export async function apply(context: CommandContext, options: ApplyOptions): Promise<number> {
  const { io } = context;
  if (options.filename.length === 0) throw new CliError('say what to apply: -f FILE, a folder, a URL, or - for standard input');
  const manifests = await readManifests(options.filename, { recursive: options.recursive, io, client: context.client });
  const unnamed = manifests.filter(({ object }) => !object.metadata.name);
  if (unnamed.length > 0) {
    throw new CliError(unnamed.map(({ document }) => `${document.source}:${document.lineOf('metadata.generateName')}: metadata.name: Required value: apply finds objects by name; generateName works with create only`).join('\n'));
  }
  const shown: KubeObject[] = [];
  let exitCode = 0;
  for (const manifest of manifests) {
    if (context.signal.aborted) return 130;
    const wanted = withNamespace(manifest, context.namespace);
    try {
      const { applied, object, adopted } = options.dryRun === 'client' ? { applied: 'created' as const, object: wanted, adopted: false } : await applyOne(context, manifest.kind, wanted, options.dryRun === 'server');
      shown.push(object);
      if (adopted) io.err.write(`Warning: ${objectTitle(manifest.kind, wanted.metadata.name!)} was not made by apply; fields that it has and the manifest has not are kept\n`);
      const suffix = options.dryRun === 'server' ? ' (server dry run)' : options.dryRun === 'client' ? ' (dry run)' : '';
      const title = objectTitle(manifest.kind, wanted.metadata.name!);
      if (options.output === 'name') io.out.write(`${title}\n`);
      else if (!options.output) io.out.write(`${title} ${applied}${suffix}\n`);
    } catch (error) {
      if (!isApiFailure(error)) throw error;
      exitCode = 1;
      io.err.write(`${refusalLines(manifest, error).join('\n')}\n`);
    }
  }
  if (options.output === 'json' || options.output === 'yaml') io.out.write(objectsText(shown, options.output, shown.length !== 1));
  return exitCode;
}

/** @throws ApiError, TransportError */
export async function applyOne(
  { client }: Pick<CommandContext, 'client'>,
  kind: Manifest['kind'],
  wanted: KubeObject,
  dryRun: boolean,
): Promise<{ applied: Applied; object: KubeObject; adopted: boolean }> {
  const { name, namespace } = wanted.metadata;
  const write = { dryRun, fieldManager, fieldValidation: 'Strict' };
  for (;;) {
    const current = await client.get(kind, name!, namespace).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
    const plan = planApply(wanted, current);
    if (plan.action === 'unchanged') return { applied: 'unchanged', object: current!, adopted: false };
    try {
      if (plan.action === 'create') return { applied: 'created', object: await client.create(kind, plan.object, write), adopted: false };
      const object = await client.mergePatch(kind, name!, namespace, plan.patch, write);
      // What the server normalises (stringData, defaults) shows up as a difference but changes nothing.
      const same = object.metadata.resourceVersion === current!.metadata.resourceVersion || (dryRun && dequal(object, current));
      return { applied: same ? 'unchanged' : 'configured', object, adopted: lastApplied(current!) === undefined };
    } catch (error) {
      // Someone created or deleted it between our read and our write: look again.
      if (plan.action === 'create' && isReason(error, 'AlreadyExists')) continue;
      if (plan.action === 'patch' && isReason(error, 'NotFound')) continue;
      throw error;
    }
  }
}

/** The object with the namespace it will be in. */
export function withNamespace({ kind, object }: Manifest, fallback: string): KubeObject {
  if (!kind.namespaced || object.metadata.namespace) return object;
  return { ...object, metadata: { ...object.metadata, namespace: fallback } };
}

/** What the server refused, each problem at the line that it is about. */
export function refusalLines({ kind, object, document }: Manifest, error: ApiError): string[] {
  const causes = (error.details?.causes ?? []).filter((cause) => cause.field);
  const at = (field: string): string => `${document.source}:${document.lineOf(field)}:`;
  const title = objectTitle(kind, object.metadata.name ?? '');
  if (error.reason === 'Invalid' && causes.length > 0) return causes.map((cause) => `${at(cause.field!)} ${title}: ${cause.field}: ${cause.message}`);
  return [`${at('')} ${title}: ${failureText(error)}`];
}

function isApiFailure(error: unknown): error is ApiError {
  return error instanceof Error && error.name === 'ApiError' && !isReason(error, 'Unauthorized');
}
