// resource-args.ts: how people name what they mean: `tasks`, `task hello bye`, `task/hello node/m7`, `tasks,nodes`, `all`.

import { findByWord, kinds } from '../api/kinds.js';
import type { KindDefinition } from '../api/kind.js';
import { qualifiedPlural } from '../api/errors.js';
import { CliError } from './failure.js';
import { nearest } from './manifests/nearest.js';
import { customKinds } from './server-kinds.js';
import type { ApiClient } from '../client/api-client.js';

export interface Selection {
  kind: KindDefinition;
  /** Undefined: all that a selector leaves. */
  name: string | undefined;
}

/** As parseResourceArgs; the server is asked for what may be a kind that users have defined. @throws CliError, ApiError, TransportError */
export async function readResourceArgs(client: ApiClient, args: readonly string[]): Promise<Selection[]> {
  const words = args.some((arg) => arg.includes('/')) ? args.map((arg) => arg.split('/')[0]!) : (args[0] ?? '').split(',').filter(Boolean);
  const isBuiltIn = (word: string): boolean => findByWord(word) !== undefined && !isCategory(word, kinds);
  return parseResourceArgs(args, words.every(isBuiltIn) ? kinds : [...kinds, ...onePerKind(await customKinds(client))]);
}

/** Of a kind with several versions the preferred one, which stands first. */
function onePerKind(all: readonly KindDefinition[]): KindDefinition[] {
  return all.filter((kind, index) => all.findIndex(({ group, plural }) => group === kind.group && plural === kind.plural) === index);
}

function isCategory(word: string, known: readonly KindDefinition[]): boolean {
  return known.some((kind) => kind.categories.includes(word));
}

/** @throws CliError naming what is no kind, or what is missing */
export function parseResourceArgs(args: readonly string[], known: readonly KindDefinition[] = kinds): Selection[] {
  if (args.length === 0) throw new CliError(`say which kind of object: one of ${kinds.map((kind) => kind.plural).join(', ')}`);
  if (args.some((arg) => arg.includes('/'))) {
    return args.map((arg) => {
      const [word, name, ...rest] = arg.split('/');
      if (!word || !name || rest.length > 0) throw new CliError(`"${arg}" does not name an object; when one argument is KIND/NAME, all of them must be`);
      return { kind: kindOf(word, known), name };
    });
  }
  const [words, ...names] = args;
  const chosen = words!.split(',').filter(Boolean).flatMap((word) => kindsOf(word, known));
  return chosen.flatMap((kind): Selection[] => (names.length === 0 ? [{ kind, name: undefined }] : names.map((name) => ({ kind, name }))));
}

/** @throws CliError with the nearest kind there is */
export function kindOf(word: string, known: readonly KindDefinition[] = kinds): KindDefinition {
  const kind = findByWord(word, known);
  if (kind) return kind;
  const words = known.flatMap((other) => [other.plural, other.singular]);
  const close = nearest(word, words);
  throw new CliError(`the server doesn't have a resource type "${word}"${close ? `; did you mean ${close}?` : ''}`);
}

function kindsOf(word: string, known: readonly KindDefinition[]): KindDefinition[] {
  const category = known.filter((kind) => kind.categories.includes(word));
  return category.length > 0 ? category : [kindOf(word, known)];
}

/** `task.taskplane.dev/hello`, `node/m7`: how kubectl names an object in what it prints. */
export function objectTitle(kind: KindDefinition, name: string): string {
  return `${kind.singular}${kind.group ? `.${kind.group}` : ''}/${name}`;
}

/** `tasks.taskplane.dev "hello"`: how kubectl names an object in a sentence. */
export function quotedTitle(kind: KindDefinition, name: string): string {
  return `${qualifiedPlural(kind)} "${name}"`;
}
