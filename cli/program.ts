// program.ts: the whole command line as a value. What a verb does is imported when it is called, so that `--help` and
// completion are quick.

import { Command } from 'commander';
import type { Session } from './session.js';
import { addNodeVerbs } from './verbs/nodes.js';
import { addObjectVerbs } from './verbs/objects.js';
import { addServerVerbs } from './verbs/servers.js';
import { addStreamVerbs } from './verbs/streams.js';
import { addTaskVerbs } from './verbs/tasks.js';
import { addCompletion } from './verbs/completion.js';
import { version } from './version.js';

export function buildProgram(session: Session): Command {
  const { io } = session;
  const program = new Command('taskplane')
    .description('Runs plain commands on plain machines, with the API of Kubernetes.')
    .version(`v${version}`, '-v, --version', 'print the version of this command')
    .helpOption('-h, --help', 'print help')
    .showSuggestionAfterError()
    .configureOutput({ writeOut: (text) => io.out.write(text), writeErr: (text) => io.err.write(text), getOutHelpWidth: () => io.out.size()?.columns ?? 100, getErrHelpWidth: () => io.err.size()?.columns ?? 100 })
    .exitOverride();
  addServerVerbs(program, session);
  addObjectVerbs(program, session);
  addTaskVerbs(program, session);
  addStreamVerbs(program, session);
  addNodeVerbs(program, session);
  addCompletion(program, session);
  program.addHelpCommand(new Command('help').argument('[command]').summary('print help for a verb').helpGroup('Other:'));
  program.addHelpText('after', '\nThe address and credentials of the API server come from --kubeconfig, $KUBECONFIG or ~/.kube/config, as for kubectl.\n`taskplane VERB --help` tells more of each.\n');
  return program;
}
