// completion.ts: the scripts for shells, and the hidden verb that they ask.

import { Argument, type Command } from 'commander';
import type { Session } from '../session.js';

export function addCompletion(program: Command, session: Session): void {
  program.command('completion').summary('print a completion script for a shell').helpGroup('Other:')
    .description('Prints a script that completes verbs, flags, kinds and the names of live objects.')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', '\nExamples:\n  source <(taskplane completion bash)                 # or put it in ~/.bashrc\n  source <(taskplane completion zsh)                  # or put it in ~/.zshrc\n  taskplane completion fish | source                  # or put it in ~/.config/fish/config.fish\n')
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('../commands/completion.js');
      await session.alone(async () => {
        session.io.out.write(completionScript(shell));
        return 0;
      });
    });

  program.enablePositionalOptions();
  program.command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .passThroughOptions()
    .action(async (words: string[]) => {
      const { complete } = await import('../commands/completion.js');
      await session.alone(async () => {
        const candidates = await complete(program, words, (kubeconfig, namespace) => session.connect({ kubeconfig, namespace }));
        session.io.out.write(candidates.map((candidate) => `${candidate}\n`).join(''));
        return 0;
      });
    });
}
