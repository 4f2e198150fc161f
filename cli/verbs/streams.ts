// streams.ts: the verbs that join this terminal to a task: exec, attach, port-forward.

import type { Command } from 'commander';
import type { PortForwardOptions } from '../commands/port-forward.js';
import type { RemoteOptions } from '../commands/remote-command.js';
import type { Session } from '../session.js';
import { connected, connectionOf, examples } from './options.js';

export function addStreamVerbs(program: Command, session: Session): void {
  connected(program.command('exec').summary('run a command beside a running task').helpGroup('Tasks:')
    .description('Runs a command beside a running task: as its user, with its environment, in its directory and within its limits. Ends with the exit code of the command.')
    .argument('<task>', 'NAME or task/NAME')
    .argument('[command...]', 'after --: the program and its arguments')
    .option('-i, --stdin', 'hand on what is typed, or piped, to the command')
    .option('-t, --tty', 'with -i: give the command a terminal')
    .addHelpText('after', examples('taskplane exec web -- env', 'taskplane exec -it web -- bash', 'tar cf - site | taskplane exec -i web -- tar xf - -C /srv'))
    .action(async (task: string, words: string[], options: RemoteOptions, command: Command) => {
      const { exec } = await import('../commands/remote-command.js');
      await session.withClient(connectionOf(command), (context, access) => exec(context, access, task, words, options));
    }));

  connected(program.command('attach').summary('see what a running task writes, and write to it').helpGroup('Tasks:')
    .description('Shows what a running task writes from now on, until it ends. With -i, and where the task has spec.stdin, hands on what is typed.')
    .argument('<task>', 'NAME or task/NAME')
    .option('-i, --stdin', 'hand on what is typed, or piped, to the task')
    .addHelpText('after', examples('taskplane attach build', 'echo go | taskplane attach -i worker'))
    .action(async (task: string, options: RemoteOptions, command: Command) => {
      const { attach } = await import('../commands/remote-command.js');
      await session.withClient(connectionOf(command), (context, access) => attach(context, access, task, options));
    }));

  connected(program.command('port-forward').summary('reach ports that a task listens on').helpGroup('Tasks:')
    .description('Makes ports of this machine lead to ports that a running task listens on, until Ctrl-C.')
    .argument('<task>', 'NAME or task/NAME')
    .argument('[port...]', 'PORT, LOCAL:PORT, or :PORT for any local port')
    .option('--address <addresses>', 'local addresses to listen on, by comma (default: 127.0.0.1)')
    .addHelpText('after', examples('taskplane port-forward web 8080', 'taskplane port-forward web 8080:80', 'taskplane port-forward web :80'))
    .action(async (task: string, ports: string[], options: PortForwardOptions, command: Command) => {
      const { portForward } = await import('../commands/port-forward.js');
      await session.withClient(connectionOf(command), (context, access) => portForward(context, access, task, ports, options));
    }));
}
