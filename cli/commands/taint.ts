// taint.ts: puts taints on nodes and takes them off, in kubectl's words: KEY=VALUE:EFFECT, KEY:EFFECT, KEY:EFFECT-, KEY-.

import { isReason } from '../../api/errors.js';
import { labelValueProblem, qualifiedNameProblem } from '../../api/names.js';
import { nodeKind, type Taint } from '../../api/node.js';
import type { CommandContext } from '../context.js';
import { CliError, failureText } from '../failure.js';

const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
/** Writers that get in between are waited out so often. */
const triesMax = 10;

export interface TaintChange {
  add: Taint[];
  /** Of every effect when none is given. */
  remove: { key: string; effect?: string }[];
}

/** @throws CliError for what is none */
export function parseTaints(texts: readonly string[]): TaintChange {
  const change: TaintChange = { add: [], remove: [] };
  for (const text of texts) {
    const [, key = '', value, effect, minus] = /^([^=:]*?)(?:=([^:]*?))?(?::([^:-]*))?(-)?$/.exec(text) ?? [];
    const keyProblem = key === '' ? 'KEY=VALUE:EFFECT, KEY:EFFECT, or KEY- to take it off' : qualifiedNameProblem(key);
    if (keyProblem) throw new CliError(`invalid taint "${text}": ${keyProblem}`);
    const valueProblem = value ? labelValueProblem(value) : undefined;
    if (valueProblem) throw new CliError(`invalid taint "${text}": ${valueProblem}`);
    if (effect !== undefined && !effects.includes(effect)) throw new CliError(`invalid taint "${text}": its effect must be one of ${effects.join(', ')}`);
    if (minus) change.remove.push({ key, ...(effect ? { effect } : {}) });
    else if (effect) change.add.push({ key, ...(value ? { value } : {}), effect });
    else throw new CliError(`invalid taint "${text}": say what it does: ${key}:${effects.join(`, ${key}:`)}`);
  }
  if (change.add.length + change.remove.length === 0) throw new CliError('say which taint: KEY=VALUE:EFFECT, KEY:EFFECT, or KEY- to take it off');
  return change;
}

/**
 * The taints as they would be.
 * @throws CliError when one to put on has another value, or one to take off is not there
 */
export function changedTaints(taints: readonly Taint[], { add, remove }: TaintChange, overwrite: boolean): Taint[] {
  const is = (taint: Taint, { key, effect }: { key: string; effect?: string }): boolean => taint.key === key && (effect === undefined || taint.effect === effect);
  for (const gone of remove) if (!taints.some((taint) => is(taint, gone))) throw new CliError(`taint "${gone.effect ? `${gone.key}:${gone.effect}` : gone.key}" not found`);
  const kept = taints.filter((taint) => !remove.some((gone) => is(taint, gone)));
  for (const next of add) {
    const at = kept.findIndex((taint) => is(taint, next));
    if (at < 0) kept.push(next);
    else if ((kept[at]!.value ?? '') !== (next.value ?? '')) {
      if (!overwrite) throw new CliError(`the node already has taint ${next.key} with effect ${next.effect} and another value; --overwrite replaces it`);
      kept[at] = next;
    }
  }
  return kept;
}

export async function taint(context: CommandContext, names: readonly string[], texts: readonly string[], options: { overwrite?: boolean; selector?: string; all?: boolean }): Promise<number> {
  const { client, io } = context;
  const change = parseTaints(texts);
  if (names.length === 0 && !options.selector && !options.all) throw new CliError('name the nodes, or give -l SELECTOR or --all');
  const chosen = names.length > 0 ? names : (await client.list(nodeKind, options.selector ? { labelSelector: options.selector } : {})).items.map(({ metadata }) => metadata.name!);
  const word = change.remove.length === 0 ? 'tainted' : change.add.length === 0 ? 'untainted' : 'modified';
  let exitCode = 0;
  for (const name of chosen) {
    try {
      await write(context, name, (taints) => changedTaints(taints, change, options.overwrite ?? false));
      io.out.write(`node/${name} ${word}\n`);
    } catch (error) {
      if (!(error instanceof CliError) && !isReason(error, 'NotFound')) throw error;
      exitCode = 1;
      io.err.write(`${failureText(error)}\n`);
    }
  }
  return exitCode;
}

async function write({ client }: CommandContext, name: string, next: (taints: readonly Taint[]) => Taint[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { spec, metadata } = await client.get(nodeKind, name);
    const taints = next(spec?.taints ?? []);
    try {
      await client.mergePatch(nodeKind, name, undefined, { metadata: { resourceVersion: metadata.resourceVersion }, spec: { taints: taints.length > 0 ? taints : null } });
      return;
    } catch (error) {
      if (tries >= triesMax || !isReason(error, 'Conflict')) throw error;
    }
  }
}
