// completion.ts: what may come next on a command line. The shell passes the words so far, the last one unfinished; the
// answer is one candidate per line. Whatever goes wrong, the answer is empty: a shell must not show our troubles.

import type { Command } from 'commander';
import { kinds } from '../../api/kinds.js';
import type { KindDefinition } from '../../api/kind.js';
import { findByWord } from '../../api/kinds.js';
import type { ApiClient } from '../../client/api-client.js';
import type { ClusterAccess } from '../../client/kubeconfig.js';

type Connect = (kubeconfig?: string, namespace?: string) => Promise<{ client: ApiClient; access: ClusterAccess }>;

const namesMax = 500;
const kindVerbs = new Set(['get', 'describe', 'delete', 'wait']);
const taskVerbs = new Set(['logs']);
const nodeVerbs = new Set(['cordon', 'uncordon', 'drain', 'nodes']);

export async function complete(program: Command, words: readonly string[], connect: Connect): Promise<string[]> {
  const current = words[words.length - 1] ?? '';
  const { command, positionals, values, awaiting } = readWords(program, words.slice(0, -1));
  const starting = (candidates: Iterable<string>): string[] => [...new Set(candidates)].filter((candidate) => candidate.startsWith(current)).sort();
  const live = (kind: KindDefinition): Promise<string[]> => liveNames(kind, values, connect);
  const verb = command.name();

  if (awaiting) {
    const option = command.options.find((candidate) => candidate.long === awaiting);
    if (option?.argChoices) return starting(option.argChoices);
    if (awaiting === '--namespace') return starting(await live(findByWord('namespaces')!));
    if (awaiting === '--node') return starting(await live(findByWord('nodes')!));
    if (awaiting === '--for') return starting(['finished', 'running', 'deleted', 'condition=']);
    if (awaiting === '--output') return starting(['wide', 'yaml', 'json', 'name']);
    return [];
  }
  if (current.startsWith('-')) return starting(command.options.filter((option) => !option.hidden).map((option) => option.long ?? '').concat('--help'));
  const verbs = command.commands.filter((inner) => !inner.name().startsWith('__')).map((inner) => inner.name());
  if (verbs.length > 0 && positionals.length === 0) return starting(verbs);
  if (verb === 'completion') return starting(['bash', 'zsh', 'fish']);
  if (taskVerbs.has(verb)) return positionals.length === 0 ? starting(await live(findByWord('tasks')!)) : [];
  if (nodeVerbs.has(verb)) return starting((await live(findByWord('nodes')!)).filter((name) => !positionals.includes(name)));
  if (!kindVerbs.has(verb)) return [];
  const slash = current.indexOf('/');
  if (slash > 0) {
    const kind = findByWord(current.slice(0, slash));
    return kind ? starting((await live(kind)).map((name) => `${current.slice(0, slash)}/${name}`)) : [];
  }
  if (positionals.length === 0) return starting(kinds.flatMap((kind) => [kind.plural, kind.singular]));
  const kind = findByWord(positionals[0]!);
  return kind ? starting((await live(kind)).filter((name) => !positionals.includes(name))) : [];
}

/** Follows the words through verbs and flags, as far as they can be understood. */
function readWords(program: Command, words: readonly string[]): { command: Command; positionals: string[]; values: Map<string, string>; awaiting: string | undefined } {
  let command = program;
  const positionals: string[] = [];
  const values = new Map<string, string>();
  let awaiting: string | undefined;
  for (const word of words) {
    if (awaiting) {
      values.set(awaiting, word);
      awaiting = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const [flag, value] = word.split('=', 2) as [string, string | undefined];
      const option = command.options.find((candidate) => candidate.long === flag || candidate.short === flag);
      if (!option?.long) continue;
      if (value !== undefined) values.set(option.long, value);
      else if (option.required) awaiting = option.long;
      continue;
    }
    const inner = positionals.length === 0 ? command.commands.find((candidate) => candidate.name() === word || candidate.aliases().includes(word)) : undefined;
    if (inner) command = inner;
    else positionals.push(word);
  }
  return { command, positionals, values, awaiting };
}

async function liveNames(kind: KindDefinition, values: ReadonlyMap<string, string>, connect: Connect): Promise<string[]> {
  try {
    const { client, access } = await connect(values.get('--kubeconfig'), values.get('--namespace'));
    const namespace = kind.namespaced ? (values.get('--namespace') ?? access.namespace ?? 'default') : undefined;
    const list = await client.list(kind, { namespace, limit: namesMax, resourceVersion: '0' });
    return list.items.map(({ metadata }) => metadata.name ?? '');
  } catch {
    return [];
  }
}

export function completionScript(shell: 'bash' | 'zsh' | 'fish'): string {
  return scripts[shell];
}

// Bash splits words at `=` and `:`; the words are taken from the line itself, so that KIND/NAME and --flag=value stay whole.
const scripts = {
  bash: `# taskplane completion for bash: source <(taskplane completion bash)
_taskplane() {
  local line words current candidates
  line="\${COMP_LINE:0:COMP_POINT}"
  read -ra words <<<"$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  current="\${words[\${#words[@]}-1]}"
  candidates="$("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)"
  COMPREPLY=()
  while IFS= read -r candidate; do
    [[ -n "$candidate" ]] && COMPREPLY+=("$candidate")
  done <<<"$candidates"
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then
    compopt -o default 2>/dev/null
  elif [[ \${#COMPREPLY[@]} -eq 1 && "\${COMPREPLY[0]}" == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _taskplane taskplane
complete -F _taskplane bin/taskplane
complete -F _taskplane ./bin/taskplane
`,
  zsh: `#compdef taskplane
# taskplane completion for zsh: source <(taskplane completion zsh)
_taskplane() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,$CURRENT]}" 2>/dev/null)}")
  candidates=("\${(@)candidates:#}")
  if (( \${#candidates} )); then
    compadd -a candidates
  else
    _files
  fi
}
if (( \${+functions[compdef]} )); then
  compdef _taskplane taskplane
fi
`,
  fish: `# taskplane completion for fish: taskplane completion fish | source
function __taskplane_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c taskplane -a '(__taskplane_complete)'
`,
} as const;
