// delete.ts: asks for objects to go, and waits until they have.

import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { CommandContext } from '../context.js';
import { CliError, failureText } from '../failure.js';
import { waitUntil } from '../follow-object.js';
import { readManifests } from '../manifests/read.js';
import { objectTitle, readResourceArgs, quotedTitle } from '../resource-args.js';
import { withNamespace } from './apply.js';

export interface DeleteCommandOptions {
  filename?: string[];
  recursive?: boolean;
  selector?: string;
  fieldSelector?: string;
  all?: boolean;
  allNamespaces?: boolean;
  gracePeriod?: number;
  force?: boolean;
  now?: boolean;
  wait?: boolean;
  ignoreNotFound?: boolean;
  dryRun?: 'none' | 'server';
  output?: 'name';
}

interface Doomed {
  kind: KindDefinition;
  name: string;
  namespace: string | undefined;
}

export async function deleteObjects(context: CommandContext, args: readonly string[], options: DeleteCommandOptions): Promise<number> {
  const { io } = context;
  const gracePeriodSeconds = graceOf(options);
  const doomed = options.filename?.length ? await doomedInFiles(context, options) : await doomedByArgs(context, args, options);
  if (doomed.length === 0) {
    io.err.write('No resources found\n');
    return 0;
  }
  const gone: (Doomed & { uid: string | undefined })[] = [];
  let exitCode = 0;
  for (const each of doomed) {
    try {
      const reply = await context.client.delete(each.kind, each.name, each.namespace, { gracePeriodSeconds, propagationPolicy: 'Background', dryRun: options.dryRun === 'server' });
      gone.push({ ...each, uid: uidOf(reply) });
      if (options.output === 'name') io.out.write(`${objectTitle(each.kind, each.name)}\n`);
      else io.out.write(`${each.kind.singular}${each.kind.group ? `.${each.kind.group}` : ''} "${each.name}" ${options.force ? 'force ' : ''}deleted${options.dryRun === 'server' ? ' (server dry run)' : ''}\n`);
    } catch (error) {
      const missing = isReason(error, 'NotFound');
      if (missing && (options.ignoreNotFound || options.all || options.selector)) continue;
      if (!missing && !isReason(error, 'Forbidden', 'Conflict', 'Invalid', 'MethodNotAllowed', 'BadRequest')) throw error;
      exitCode = 1;
      io.err.write(`${failureText(error)}\n`);
    }
  }
  if (options.wait !== false && options.dryRun !== 'server') await Promise.all(gone.map((each) => waitUntilGone(context, each)));
  return context.signal.aborted ? 130 : exitCode;
}

function graceOf(options: DeleteCommandOptions): number | undefined {
  if (options.now && options.gracePeriod !== undefined) throw new CliError('--now and --grace-period cannot be specified together');
  if (options.force) {
    if (options.gracePeriod !== undefined && options.gracePeriod > 0) throw new CliError('--force and --grace-period greater than 0 cannot be specified together');
    return 0;
  }
  // 0 removes the object before anyone knows that its processes have ended: kubectl, too, takes 1 unless forced.
  if (options.gracePeriod === 0) return 1;
  return options.now ? 1 : options.gracePeriod;
}

async function doomedInFiles(context: CommandContext, options: DeleteCommandOptions): Promise<Doomed[]> {
  const manifests = await readManifests(options.filename!, { recursive: options.recursive, io: context.io, client: context.client });
  return manifests.map((manifest) => {
    const { metadata } = withNamespace(manifest, context.namespace);
    return { kind: manifest.kind, name: metadata.name!, namespace: manifest.kind.namespaced ? metadata.namespace : undefined };
  });
}

async function doomedByArgs(context: CommandContext, args: readonly string[], options: DeleteCommandOptions): Promise<Doomed[]> {
  const doomed: Doomed[] = [];
  for (const { kind, name } of await readResourceArgs(context.client, args)) {
    const namespace = kind.namespaced ? context.namespace : undefined;
    if (name !== undefined) {
      if (options.all || options.selector) throw new CliError('name cannot be provided when a selector or --all is specified');
      doomed.push({ kind, name, namespace });
      continue;
    }
    if (!options.all && !options.selector && !options.fieldSelector) throw new CliError('resource(s) were provided, but no name was specified; name them, or give -l SELECTOR or --all');
    const list = await context.client.list(kind, { namespace: options.allNamespaces ? undefined : namespace, labelSelector: options.selector, fieldSelector: options.fieldSelector });
    doomed.push(...list.items.map(({ metadata }) => ({ kind, name: metadata.name!, namespace: metadata.namespace })));
  }
  return doomed;
}

/** Another object may take the name at once: only the one that was deleted is waited for. */
async function waitUntilGone(context: CommandContext, { kind, name, namespace, uid }: Doomed & { uid: string | undefined }): Promise<void> {
  const { client, signal, clock, random, io } = context;
  const followed = { client, kind, name, namespace, signal, clock, random };
  const told = await waitUntil(followed, (object) => object === undefined || (uid !== undefined && object.metadata.uid !== uid));
  if (!told) io.err.write(`${quotedTitle(kind, name)} is still being deleted\n`);
}

function uidOf(reply: KubeObject | object): string | undefined {
  return 'details' in reply ? (reply.details as { uid?: string } | undefined)?.uid : (reply as KubeObject).metadata.uid;
}
