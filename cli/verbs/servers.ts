// servers.ts: the verbs that are Taskplane itself: dev, apiserver, controllers, agent, kubeconfig.

import { Option, type Command } from 'commander';
import type { Session } from '../session.js';
import type { DevOptions } from '../dev/dev.js';
import type { AgentOptions } from '../serve/agent.js';
import type { ApiServerOptions } from '../serve/apiserver.js';
import type { ControllersOptions } from '../serve/controllers.js';
import type { KubeconfigOptions } from '../serve/kubeconfig.js';
import { collect, examples, integer } from './options.js';

const logLevel = (): Option => new Option('--log-level <level>', 'what to log, to standard error').choices(['debug', 'info', 'warn', 'error', 'silent']).default('info');
/** client/leader-election.ts has the same in milliseconds; this file loads nothing that it need not. */
const leaseSecondsDefault = 4;
const etcdFlags = (command: Command): Command =>
  command
    .addOption(new Option('--etcd-servers <urls>', 'addresses of the etcd members, with commas between').helpGroup('Store:'))
    .addOption(new Option('--etcd-cafile <file>', 'authority that signed the certificates of etcd').helpGroup('Store:'))
    .addOption(new Option('--etcd-certfile <file>', 'client certificate for etcd').helpGroup('Store:'))
    .addOption(new Option('--etcd-keyfile <file>', 'its key').helpGroup('Store:'));

export function addServerVerbs(program: Command, session: Session): void {
  etcdFlags(program.command('dev').summary('run all of Taskplane on this machine').helpGroup('Servers:'))
    .description('Runs all of Taskplane on this machine: the API server and controllers in this process, and agents beside it. Applies the examples and shows how they run. Ctrl-C stops everything; the data stays, and the next start goes on from there.')
    .option('--agents <number>', 'how many agents (nodes)', integer('--agents', 0), 1)
    .addOption(new Option('--store <kind>', 'where objects are kept (default: etcd with --etcd-servers, else embedded)').choices(['embedded', 'etcd']).helpGroup('Store:'))
    .option('--listen <host:port>', 'where the API server listens; port 0 picks a free one', '127.0.0.1:7443')
    .option('--data-dir <dir>', 'where everything is kept', '.taskplane')
    .option('--kubeconfig <file>', 'where the kubeconfig goes (default: kubeconfig in the data directory)')
    .option('--apply <file>', 'manifests to apply; may be repeated (default: manifests/examples)', collect)
    .option('--no-apply', 'apply nothing')
    .addOption(new Option('--log-level <level>', 'what to log, to DIR/dev.log').choices(['debug', 'info', 'warn', 'error']).default('info'))
    .addHelpText('after', examples('npm start', 'npm start -- --agents 3', 'bin/taskplane dev --no-apply --listen 127.0.0.1:0 --data-dir /tmp/tp'))
    .action(async (options: DevOptions) => {
      const { dev } = await import('../dev/dev.js');
      await session.alone(() => dev(session, options));
    });

  etcdFlags(program.command('apiserver').summary('run an API server').helpGroup('Servers:'))
    .description('Runs an API server: HTTPS, with client certificates. Makes its authority and credentials in the data directory on the first start.')
    .addOption(new Option('--store <kind>', 'where objects are kept (default: etcd with --etcd-servers, else embedded)').choices(['embedded', 'etcd']).helpGroup('Store:'))
    .option('--listen <host:port>', 'where to listen; port 0 picks a free one', '127.0.0.1:7443')
    .option('--advertise <host>', 'name or address that clients reach it at; may be repeated', collect)
    .option('--data-dir <dir>', 'where keys, credentials and the embedded store are kept', '.taskplane')
    .option('--agent <name>', 'make a credential for the agent of this node, in DIR/agents; may be repeated', collect)
    .option('--presence-ttl-seconds <seconds>', 'an agent that is silent for so long is lost', integer('--presence-ttl-seconds', 1), 8)
    .option('--default-watch-cache-size <changes>', 'how many changes a watcher may have missed and still resume (default: 20000)', integer('--default-watch-cache-size', 1))
    .option('--sole-server', 'promise that no other API server uses this etcd: agents then keep their tasks running while this one is down')
    .addOption(logLevel())
    .addHelpText('after', examples('taskplane apiserver --etcd-servers http://127.0.0.1:2379', 'taskplane apiserver --store embedded --listen 0.0.0.0:7443 --advertise control.example.com'))
    .action(async (options: ApiServerOptions) => {
      const { apiserver } = await import('../serve/apiserver.js');
      await session.alone(() => apiserver(session, options));
    });

  program.command('controllers').summary('run the controllers').helpGroup('Servers:')
    .description('Runs the scheduler and the other controllers. Of any number of them one leads, and the others stand by.')
    .option('--kubeconfig <file>', 'credentials: controllers.kubeconfig in the data directory of the API server')
    .option('--no-leader-elect', 'lead without asking: only where nobody else can')
    .option('--leader-elect-lease-duration-seconds <seconds>', 'a leader that is silent for so long is followed by another; 1 follows within 2 s, more rides out longer stalls', integer('--leader-elect-lease-duration-seconds', 1), leaseSecondsDefault)
    .option('--health-port <port>', 'serve /livez, /readyz and /metrics on this port of 127.0.0.1', integer('--health-port', 0))
    .option('--identity <name>', 'name in the election (default: host name and process id)')
    .addOption(logLevel())
    .addHelpText('after', examples('taskplane controllers --kubeconfig .taskplane/controllers.kubeconfig'))
    .action(async (options: ControllersOptions) => {
      const { controllers } = await import('../serve/controllers.js');
      await session.alone(() => controllers(session, options));
    });

  program.command('agent').summary('run tasks on this machine').helpGroup('Servers:')
    .description('Runs the tasks that are bound to this node. Tasks outlive the agent: a restarted one takes them up again.')
    .option('--kubeconfig <file>', 'credentials: made by `taskplane kubeconfig --agent NAME`')
    .option('--node-name <name>', 'name of the node (default: host name)')
    .option('--labels <k=v,...>', 'labels of the node')
    .option('--capacity <name=amount,...>', 'what the node has, instead of or beside what is found: cpu=4,memory=8Gi,gpu=1')
    .option('--data-dir <dir>', 'where its journal and the logs of tasks are kept (default: .taskplane/agents/NODE)')
    .option('--stop-tasks-on-exit', 'stop the tasks when the agent stops')
    .addOption(new Option('--exit-with-parent').hideHelp())
    .addOption(logLevel())
    .addHelpText('after', examples('taskplane agent --kubeconfig m7.kubeconfig --node-name m7', 'taskplane agent --kubeconfig m7.kubeconfig --node-name m7 --labels zone=a --capacity cpu=4,memory=8Gi,gpu=1'))
    .action(async (options: AgentOptions) => {
      const { agent } = await import('../serve/agent.js');
      await session.alone(() => agent(session, options));
    });

  program.command('kubeconfig').summary('make credentials for an agent').helpGroup('Servers:')
    .description('Makes a credential for the agent of one node, signed by the authority in the data directory of the API server, and prints it as a kubeconfig.')
    .requiredOption('--agent <name>', 'name of the node')
    .option('--data-dir <dir>', 'data directory of the API server', '.taskplane')
    .option('--server <url>', 'address of the API server as the agent reaches it (default: the one in admin.kubeconfig)')
    .option('-o, --output <file>', 'write it to this file (mode 0600) instead of printing it')
    .addHelpText('after', examples('taskplane kubeconfig --agent m7 --server https://control.example.com:7443 -o m7.kubeconfig'))
    .action(async (options: KubeconfigOptions) => {
      const { kubeconfig } = await import('../serve/kubeconfig.js');
      await session.alone(() => kubeconfig(session.io, session.clock, options));
    });
}
