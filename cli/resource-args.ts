// resource-args.ts: how people name what they mean: `tasks`, `task hello bye`, `task/hello node/m7`, `tasks,nodes`, `all`.

import { findByWord, kinds } from '../api/kinds.js';
import type { KindDefinition } from '../api/kind.js';
import { qualifiedPlural } from '../api/errors.js';
import { CliError } from './failure.js';
import { nearest } from './manifests/nearest.js';

export interface Selection {
  kind: KindDefinition;
  /** Undefined: all that a selector leaves. */
  name: string | undefined;
}

/** @throws CliError naming what is no kind, or what is missing */
export function parseResourceArgs(args: readonly string[]): Selection[] {
  if (args.length === 0) throw new CliError(`say which kind of object: one of ${kinds.map((kind) => kind.plural).join(', ')}`);
  if (args.some((arg) => arg.includes('/'))) {
    return args.map((arg) => {
      const [word, name, ...rest] = arg.split('/');
      if (!word || !name || rest.length > 0) throw new CliError(`"${arg}" does not name an object; when one argument is KIND/NAME, all of them must be`);
      return { kind: kindOf(word), name };
    });
  }
  const [words, ...names] = args;
  const chosen = words!.split(',').filter(Boolean).flatMap((word) => kindsOf(word));
  return chosen.flatMap((kind): Selection[] => (names.length === 0 ? [{ kind, name: undefined }] : names.map((name) => ({ kind, name }))));
}

/** @throws CliError with the nearest kind there is */
export function kindOf(word: string): KindDefinition {
  const kind = findByWord(word);
  if (kind) return kind;
  const words = kinds.flatMap((known) => [known.plural, known.singular]);
  const close = nearest(word, words);
  throw new CliError(`the server doesn't have a resource type "${word}"${close ? `; did you mean ${close}?` : ''}`);
}

function kindsOf(word: string): KindDefinition[] {
  const category = kinds.filter((kind) => kind.categories.includes(word));
  return category.length > 0 ? category : [kindOf(word)];
}

/** `task.taskplane.dev/hello`, `node/m7`: how kubectl names an object in what it prints. */
export function objectTitle(kind: KindDefinition, name: string): string {
  return `${kind.singular}${kind.group ? `.${kind.group}` : ''}/${name}`;
}

/** `tasks.taskplane.dev "hello"`: how kubectl names an object in a sentence. */
export function quotedTitle(kind: KindDefinition, name: string): string {
  return `${qualifiedPlural(kind)} "${name}"`;
}
