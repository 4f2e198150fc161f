// tasks.ts: the verbs for tasks and nodes: run, logs, cordon, uncordon, top; and version.

import { Option, type Command } from 'commander';
import type { Session } from '../session.js';
import type { LogsOptions } from '../commands/logs.js';
import type { RunOptions } from '../commands/run.js';
import type { VersionOptions } from '../commands/version.js';
import { collect, connected, connectionOf, dryRunOption, examples, integer } from './options.js';

export function addTaskVerbs(program: Command, session: Session): void {
  connected(program.command('run').summary('run one command as a task').helpGroup('Tasks:')
    .description(
      'Runs one command as a task, shows what it writes and ends with its exit code.\nCtrl-C stops the task (it is deleted, with its grace period); a second Ctrl-C kills it. The exit code is then 130.',
    )
    .argument('<name>', 'name of the task')
    .argument('[command...]', 'after --: the program and its arguments')
    .option('--cpu <amount>', 'CPU to reserve: 500m, 2')
    .option('--memory <amount>', 'memory to reserve: 256Mi')
    .option('--request <name=amount>', 'any other resource to reserve; may be repeated', collect)
    .option('-e, --env <name=value>', 'environment variable; may be repeated', collect)
    .option('--label <key=value>', 'label; may be repeated', collect)
    .option('--node <name>', 'run on this node')
    .option('--node-selector <key=value>', 'run on a node with this label; may be repeated', collect)
    .option('--priority <number>', 'tasks of higher priority get a node first', integer('--priority'))
    .addOption(new Option('--restart <policy>', 'when to start the command again').choices(['Never', 'OnFailure', 'Always']))
    .option('--attempts <number>', 'attempts in all', integer('--attempts', 1))
    .option('--deadline <seconds>', 'stop and fail it after so long', integer('--deadline', 1))
    .option('--ttl <seconds>', 'delete it so long after it has finished', integer('--ttl', 0))
    .option('--user <name>', 'user to run as')
    .option('--workdir <dir>', 'directory to run in')
    .option('--shell', 'run the words after -- as a line of /bin/sh')
    .option('--rm', 'delete the task once it has finished')
    .option('-d, --detach', 'submit only')
    .addOption(dryRunOption())
    .addOption(new Option('-o, --output <format>', 'print the object').choices(['name', 'json', 'yaml']))
    .addHelpText('after', examples('taskplane run hello -- echo hello', 'taskplane run build --cpu 2 --memory 1Gi --rm -- make -j2', "taskplane run count --shell -- 'for i in 1 2 3; do echo $i; sleep 1; done'", 'taskplane run web --restart Always -d -- python3 -m http.server', 'taskplane run hello --dry-run=client -o yaml -- echo hello > task.yaml'))
    .action(async (name: string, words: string[], options: RunOptions, command: Command) => {
      const { run } = await import('../commands/run.js');
      await session.withClient(connectionOf(command), (context) => run(context, name, words, options, session));
    }));

  connected(program.command('logs').summary('show what a task wrote').helpGroup('Tasks:')
    .description('Shows what the command of a task wrote to standard output and standard error.')
    .argument('[task]', 'NAME or task/NAME')
    .argument('[container]', 'for the fingers of kubectl users: a task has one')
    .option('-l, --selector <labels>', 'of the tasks with these labels; 10 lines of each, unless --tail says otherwise')
    .option('-f, --follow', 'wait until it starts, and show what it writes until it has finished, over all attempts')
    .option('-p, --previous', 'of the attempt before the current one')
    .option('--tail <lines>', 'only so many of the last lines; -1 for all', integer('--tail', -1))
    .option('--limit-bytes <bytes>', 'at most so many bytes', integer('--limit-bytes', 1))
    .option('--since <duration>', 'only what was written in the last 30s, 5m, 1h30m')
    .option('--since-time <time>', 'only what was written since then: 2026-01-31T12:00:00Z')
    .option('--timestamps', 'each line with the time at which it was written')
    .option('--prefix', 'each line with the task that wrote it')
    .option('--all-pods', 'as --prefix')
    .option('--ignore-errors', 'go on with the next when a log cannot be read')
    .option('--max-log-requests <number>', 'logs of so many tasks are followed at once at most', integer('--max-log-requests', 1), 5)
    .addOption(new Option('-c, --container <name>', 'a task has one').hideHelp())
    .addOption(new Option('--all-containers').hideHelp())
    .addOption(new Option('--insecure-skip-tls-verify-backend').hideHelp())
    .addOption(new Option('--pod-running-timeout <duration>').hideHelp())
    .addHelpText('after', examples('taskplane logs hello', 'taskplane logs -f build', 'taskplane logs build --previous --tail 20', 'taskplane logs -f --timestamps --since 10m web', 'taskplane logs -l app=web --prefix'))
    .action(async (task: string | undefined, _container: string | undefined, options: LogsOptions, command: Command) => {
      const { logs } = await import('../commands/logs.js');
      await session.withClient(connectionOf(command), (context) => logs(context, task, options));
    }));

  for (const verb of ['cordon', 'uncordon'] as const) {
    connected(program.command(verb).helpGroup('Nodes:')
      .summary(verb === 'cordon' ? 'keep new tasks away from nodes' : 'let new tasks come to nodes again')
      .description(verb === 'cordon' ? 'Keeps new tasks away from nodes. What runs there goes on.' : 'Lets new tasks come to nodes again.')
      .argument('[node...]', 'names of nodes')
      .option('-l, --selector <labels>', 'nodes with these labels')
      .addHelpText('after', examples(`taskplane ${verb} m7`))
      .action(async (names: string[], options: { selector?: string }, command: Command) => {
        const { cordon } = await import('../commands/cordon.js');
        await session.withClient(connectionOf(command), (context) => cordon(context, names, verb === 'cordon', options.selector));
      }));
  }

  const top = program.command('top').summary('show the measured use of nodes').description('Shows measured use.').helpGroup('Nodes:');
  connected(top.command('nodes').alias('node').summary('CPU and memory in use on each node')
    .description('Shows the CPU and memory in use on each node, by tasks and everything else.')
    .argument('[node...]', 'names of nodes')
    .option('-l, --selector <labels>', 'nodes with these labels')
    .option('--no-headers', 'without the header line')
    .addOption(new Option('--sort-by <what>', 'order').choices(['cpu', 'memory']))
    .action(async (names: string[], options: { selector?: string; headers?: boolean; sortBy?: 'cpu' | 'memory' }, command: Command) => {
      const { topNodes } = await import('../commands/top.js');
      await session.withClient(connectionOf(command), (context) => topNodes(context, names, options));
    }));

  connected(program.command('version').summary('print the versions of client and server').helpGroup('Other:')
    .description('Prints the versions of this command and of the server.')
    .option('--client', 'only of this command')
    .addOption(new Option('-o, --output <format>', 'print as').choices(['json', 'yaml']))
    .addHelpText('after', examples('taskplane version', 'taskplane version --client'))
    .action(async (options: VersionOptions, command: Command) => {
      const { printVersion } = await import('../commands/version.js');
      await session.alone(() => printVersion(session.io, options, async () => (await session.connect(connectionOf(command))).client));
    }));
}
