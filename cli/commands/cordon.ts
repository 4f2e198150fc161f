import { nodeKind } from '../../api/node.js';
import type { KindDefinition } from '../../api/kind.js';
import type { CommandContext } from '../context.js';
import { isReason } from '../../api/errors.js';
import { CliError, failureText } from '../failure.js';

const nodes = nodeKind as unknown as KindDefinition;

/** Keeps new tasks away from nodes (`unschedulable` true) or lets them come again. */
export async function cordon(context: CommandContext, names: readonly string[], unschedulable: boolean, selector?: string): Promise<number> {
  const { client, io } = context;
  if (names.length === 0 && !selector) throw new CliError('name the nodes, or give -l SELECTOR');
  const chosen = names.length > 0 ? names : (await client.list(nodes, { labelSelector: selector })).items.map(({ metadata }) => metadata.name!);
  const word = unschedulable ? 'cordoned' : 'uncordoned';
  let exitCode = 0;
  for (const name of chosen) {
    try {
      const node = await client.get(nodes, name);
      const already = Boolean((node.spec as { unschedulable?: boolean } | undefined)?.unschedulable) === unschedulable;
      if (!already) await client.mergePatch(nodes, name, undefined, { spec: { unschedulable: unschedulable || null } });
      io.out.write(`node/${name} ${already ? 'already ' : ''}${word}\n`);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      exitCode = 1;
      io.err.write(`${failureText(error)}\n`);
    }
  }
  return exitCode;
}
