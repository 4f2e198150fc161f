// objects.ts: the verbs that work on objects of any kind: get, describe, apply, delete, wait.

import { Option, type Command } from 'commander';
import type { Session } from '../session.js';
import type { ApplyOptions } from '../commands/apply.js';
import type { DeleteCommandOptions } from '../commands/delete.js';
import type { DescribeOptions } from '../commands/describe.js';
import type { GetOptions } from '../commands/get.js';
import { collect, connected, connectionOf, dryRunOption, examples, integer } from './options.js';

export function addObjectVerbs(program: Command, session: Session): void {
  connected(program.command('apply').summary('make objects as manifests say').helpGroup('Objects:')
    .description('Creates the objects of the manifests, or changes them to what the manifests say. Nothing is sent while any document has a problem.')
    .option('-f, --filename <file>', 'file, folder, URL, or - for standard input; may be repeated', collect)
    .option('-R, --recursive', 'look into folders of folders, too')
    .addOption(dryRunOption())
    .addOption(new Option('-o, --output <format>', 'what to print of each object').choices(['name', 'json', 'yaml']))
    .argument('[files...]', 'the same as -f FILE')
    .addHelpText('after', examples('taskplane apply -f task.yaml', 'taskplane apply -f manifests/examples', 'cat task.yaml | taskplane apply -f -'))
    .action(async (files: string[], options: ApplyOptions, command: Command) => {
      const { apply } = await import('../commands/apply.js');
      await session.withClient(connectionOf(command), (context) => apply(context, { ...options, filename: [...(options.filename ?? []), ...files] }));
    }));

  connected(program.command('get').summary('list objects').helpGroup('Objects:')
    .description('Lists objects, as a table or whole.')
    .argument('[what...]', 'KIND, KIND NAME…, KIND/NAME… or KIND,KIND')
    .option('-f, --filename <file>', 'the objects of a manifest', collect)
    .option('-o, --output <format>', 'wide, yaml, json or name')
    .option('-l, --selector <labels>', 'only objects with these labels: a=b, a!=b, a in (b,c), a, !a')
    .option('--field-selector <fields>', 'only objects with these fields: status.phase=Running')
    .option('-A, --all-namespaces', 'of all namespaces')
    .option('-w, --watch', 'then show each change')
    .option('--watch-only', 'show only changes')
    .option('--no-headers', 'without the header line')
    .option('--show-labels', 'with a column of labels')
    .option('-L, --label-columns <keys>', 'with a column for each of these labels', (text: string, before?: string[]) => [...(before ?? []), ...text.split(',')])
    .option('--ignore-not-found', 'it is no error if an object is not there')
    .addHelpText('after', examples('taskplane get tasks', 'taskplane get tasks -w', 'taskplane get task hello -o yaml', 'taskplane get tasks -l app=render --field-selector status.phase=Failed', 'taskplane get nodes -o wide'))
    .action(async (what: string[], options: GetOptions, command: Command) => {
      const { get } = await import('../commands/get.js');
      await session.withClient(connectionOf(command), (context) => get(context, what, options));
    }));

  connected(program.command('describe').summary('tell all about objects').helpGroup('Objects:')
    .description('Tells all that is worth knowing of objects, with what happened to them.')
    .argument('<what...>', 'KIND, KIND NAME… or KIND/NAME…')
    .option('-l, --selector <labels>', 'only objects with these labels')
    .option('-A, --all-namespaces', 'of all namespaces')
    .option('--no-show-events', 'without events')
    .addHelpText('after', examples('taskplane describe task hello', 'taskplane describe node m7'))
    .action(async (what: string[], options: DescribeOptions, command: Command) => {
      const { describe } = await import('../commands/describe.js');
      await session.withClient(connectionOf(command), (context) => describe(context, what, options));
    }));

  connected(program.command('delete').summary('delete objects').helpGroup('Objects:')
    .description('Deletes objects and waits until they are gone. The processes of a task get SIGTERM, and SIGKILL after its grace period.')
    .argument('[what...]', 'KIND NAME…, KIND/NAME…, or KIND with -l or --all')
    .option('-f, --filename <file>', 'the objects of a manifest', collect)
    .option('-R, --recursive', 'look into folders of folders, too')
    .option('-l, --selector <labels>', 'objects with these labels')
    .option('--field-selector <fields>', 'objects with these fields')
    .option('--all', 'all objects of the kind')
    .option('-A, --all-namespaces', 'of all namespaces')
    .option('--grace-period <seconds>', 'seconds between SIGTERM and SIGKILL (default: as the task says)', integer('--grace-period'))
    .option('--now', 'the same as --grace-period=1')
    .option('--force', 'remove at once, without waiting for the processes to end')
    .option('--no-wait', 'do not wait until the objects are gone')
    .option('--ignore-not-found', 'it is no error if an object is not there')
    .addOption(new Option('--dry-run <how>', 'check only').choices(['none', 'server']).default('none', 'none'))
    .addOption(new Option('-o, --output <format>', 'what to print').choices(['name']))
    .addHelpText('after', examples('taskplane delete task hello', 'taskplane delete -f task.yaml', 'taskplane delete tasks -l app=render', 'taskplane delete tasks --all --now'))
    .action(async (what: string[], options: DeleteCommandOptions, command: Command) => {
      const { deleteObjects } = await import('../commands/delete.js');
      const gracePeriod = options.gracePeriod !== undefined && options.gracePeriod < 0 ? undefined : options.gracePeriod;
      await session.withClient(connectionOf(command), (context) => deleteObjects(context, what, { ...options, gracePeriod }));
    }));

  connected(program.command('wait').summary('wait until objects are as asked for').helpGroup('Objects:')
    .description('Waits until objects are as asked for. Exit code 0: they are; 1: a task failed, an object is missing, or the time is up.')
    .argument('<what...>', 'KIND NAME…, KIND/NAME…, or KIND with -l or --all')
    .requiredOption('--for <what>', 'finished (0 when Succeeded, 1 when Failed), running (or has run), deleted, condition=NAME[=VALUE]')
    .option('--timeout <duration>', 'how long: 30s, 5m; 0 looks once, -1s waits for ever', '30s')
    .option('-l, --selector <labels>', 'objects with these labels')
    .option('--all', 'all objects of the kind')
    .option('-A, --all-namespaces', 'of all namespaces')
    .addHelpText('after', examples('taskplane wait task/hello --for=finished', 'taskplane wait tasks -l app=render --for=finished --timeout=10m', 'taskplane wait node/m7 --for=condition=Ready'))
    .action(async (what: string[], options: { for: string; timeout: string; selector?: string; all?: boolean; allNamespaces?: boolean }, command: Command) => {
      const [{ wait }, { parseDurationMs }] = await Promise.all([import('../commands/wait.js'), import('../duration.js')]);
      await session.withClient(connectionOf(command), (context) => wait(context, what, { ...options, timeoutMs: parseDurationMs(options.timeout) }));
    }));
}
