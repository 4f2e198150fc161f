// nodes.ts: the verbs that drive tasks off nodes: drain, taint. (Cordon is in tasks.ts.)

import { Option, type Command } from 'commander';
import { CliError } from '../failure.js';
import type { Session } from '../session.js';
import type { DrainOptions } from '../commands/drain.js';
import { connected, connectionOf, examples, integer } from './options.js';

interface DrainFlags extends Omit<DrainOptions, 'timeoutMs'> {
  timeout: string;
  podSelector?: string;
}

export function addNodeVerbs(program: Command, session: Session): void {
  connected(program.command('drain').helpGroup('Nodes:')
    .summary('move all tasks away from a node, for maintenance')
    .description('Keeps new tasks away from a node, asks the tasks that run there to stop, and waits until they have. Each goes on elsewhere, as another attempt that does not count against its backoffLimit. `taskplane uncordon` takes the node back into use.')
    .argument('<node>', 'name of the node')
    .option('--task-selector <labels>', 'only tasks with these labels')
    .addOption(new Option('--pod-selector <labels>').hideHelp())
    .option('--grace-period <seconds>', 'seconds between SIGTERM and SIGKILL (default: as each task says)', integer('--grace-period'))
    .option('--force', 'evict also tasks that fail by it (onNodeLost: Fail)')
    .option('--timeout <duration>', 'how long to wait: 30s, 5m; 0 waits for ever', '0')
    .addOption(new Option('--dry-run <how>', 'check only').choices(['none', 'server']).default('none', 'none'))
    .addOption(new Option('--ignore-daemonsets').hideHelp())
    .addOption(new Option('--delete-emptydir-data').hideHelp())
    .addHelpText('after', examples('taskplane drain m7', 'taskplane drain m7 --grace-period 10 --timeout 5m', 'taskplane drain m7 --task-selector app=web'))
    .action(async (node: string, flags: DrainFlags, command: Command) => {
      const [{ drain }, { parseDurationMs }] = await Promise.all([import('../commands/drain.js'), import('../duration.js')]);
      const { timeout, podSelector, ...options } = flags;
      const taskSelector = options.taskSelector ?? podSelector;
      await session.withClient(connectionOf(command), (context) => drain(context, node, { ...options, ...(taskSelector ? { taskSelector } : {}), timeoutMs: parseDurationMs(timeout) }));
    }));

  connected(program.command('taint').helpGroup('Nodes:')
    .summary('mark nodes, so that tasks stay or go away')
    .description('Puts taints on nodes or takes them off. NoSchedule keeps away new tasks that do not tolerate the taint, PreferNoSchedule avoids the node for them, NoExecute also evicts those that run there.')
    .argument('<what...>', 'node NAME… KEY=VALUE:EFFECT…; KEY- or KEY:EFFECT- takes it off')
    .option('--overwrite', 'replace a taint that has another value')
    .option('-l, --selector <labels>', 'nodes with these labels')
    .option('--all', 'all nodes')
    .addHelpText('after', examples('taskplane taint node m7 gpu=broken:NoExecute', 'taskplane taint node m7 gpu-', 'taskplane taint nodes -l zone=a maintenance:NoSchedule'))
    .action(async (what: string[], options: { overwrite?: boolean; selector?: string; all?: boolean }, command: Command) => {
      const [word = '', ...rest] = what;
      if (!['node', 'nodes', 'no'].includes(word.toLowerCase())) throw new CliError(`only nodes can be tainted: taskplane taint node ${what.join(' ')}`);
      const isTaint = (text: string): boolean => /[=:]|-$/.test(text);
      const { taint } = await import('../commands/taint.js');
      await session.withClient(connectionOf(command), (context) => taint(context, rest.filter((text) => !isTaint(text)), rest.filter(isTaint), options));
    }));
}
