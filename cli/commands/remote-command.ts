// remote-command.ts: exec and attach: this terminal, or these pipes, joined to a command beside a task, or to the task itself.

import { ApiError, type Status } from '../../api/errors.js';
import { channels } from '../../api/stream-frames.js';
import { taskKind } from '../../api/task.js';
import { ChannelSocket } from '../../client/channel-socket.js';
import type { ClusterAccess } from '../../client/kubeconfig.js';
import type { CommandContext } from '../context.js';
import { CliError } from '../failure.js';
import { version } from '../version.js';

export interface RemoteOptions {
  stdin?: boolean;
  tty?: boolean;
}

/** What a terminal has and a pipe has not. */
interface RawInput {
  isTTY?: boolean;
  setRawMode?(raw: boolean): void;
  destroy?(): void;
}

/** Ends with the exit code of the command. */
export function exec(context: CommandContext, access: ClusterAccess, task: string, command: readonly string[], options: RemoteOptions): Promise<number> {
  if (command.length === 0) throw new CliError('say what to run: taskplane exec TASK -- COMMAND [ARG…]');
  return remote(context, access, 'exec', task, command, options);
}

/** Ends when the task does. */
export function attach(context: CommandContext, access: ClusterAccess, task: string, options: RemoteOptions): Promise<number> {
  return remote(context, access, 'attach', task, [], options);
}

/** @throws CliError for anything that is not the name of a task */
export function taskName(argument: string): string {
  const match = /^(?:(?:tasks?|task\.taskplane\.dev|pods?|po)\/)?([^/]+)$/.exec(argument);
  if (!match) throw new CliError(`${argument} is no task: give its name, as in \`taskplane get tasks\``);
  return match[1]!;
}

export function subresourcePath(namespace: string, name: string, subresource: string, query: URLSearchParams): string {
  return `/apis/${taskKind.group}/${taskKind.version}/namespaces/${encodeURIComponent(namespace)}/${taskKind.plural}/${encodeURIComponent(name)}/${subresource}?${query.toString()}`;
}

async function remote(context: CommandContext, access: ClusterAccess, verb: 'exec' | 'attach', task: string, command: readonly string[], options: RemoteOptions): Promise<number> {
  const { io, namespace, signal } = context;
  const name = taskName(task);
  const input = io.stdin as RawInput;
  const stdin = options.stdin === true;
  const tty = options.tty === true && stdin && input.isTTY === true && input.setRawMode !== undefined;
  if (options.tty && !tty) io.err.write('Unable to use a TTY - input is not a terminal or the right kind of file\n');
  const query = new URLSearchParams(command.map((word): [string, string] => ['command', word]));
  for (const [key, wanted] of Object.entries({ stdin, stdout: true, stderr: !tty, tty })) if (wanted) query.set(key, 'true');
  const path = subresourcePath(namespace, name, verb, query);
  const socket = await ChannelSocket.open({ access, path, userAgent: `taskplane/${version}`, signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
    return undefined;
  });
  if (!socket) return 130;
  const resize = (): void => {
    const size = io.out.size();
    if (size) void socket.send(channels.resize, Buffer.from(JSON.stringify({ Width: size.columns, Height: size.rows })));
  };
  if (tty) {
    input.setRawMode?.(true);
    resize();
    process.on('SIGWINCH', resize);
  }
  try {
    if (stdin) void sendInput(io.stdin, socket);
    const status = await receive(context, socket);
    if (status) return exitCodeOf(status);
    if (signal.aborted) return 130;
    throw new CliError(`the connection was lost before the command in task "${name}" had ended`);
  } finally {
    socket.close();
    if (tty) {
      process.off('SIGWINCH', resize);
      input.setRawMode?.(false);
    }
    // Somebody may still type; nobody listens.
    if (stdin) input.destroy?.();
  }
}

async function sendInput(stdin: AsyncIterable<Buffer | string>, socket: ChannelSocket): Promise<void> {
  try {
    for await (const chunk of stdin) await socket.send(channels.stdin, Buffer.from(chunk));
  } catch {
    // It was destroyed at the end of the command.
    return;
  }
  await socket.endChannel(channels.stdin);
}

/** Undefined when the connection was lost. */
async function receive({ io }: CommandContext, socket: ChannelSocket): Promise<Status | undefined> {
  let status: Status | undefined;
  for await (const { channel, data } of socket.messages()) {
    const output = channel === channels.stdout ? io.out : channel === channels.stderr ? io.err : undefined;
    output?.write(data);
    await output?.drained?.();
    if (channel === channels.status) {
      status = JSON.parse(data.toString('utf8')) as Status;
      socket.close();
    }
  }
  return status;
}

/** @throws ApiError for a failure that is no exit code */
function exitCodeOf(status: Status): number {
  if (status.status === 'Success') return 0;
  const code = Number(status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message);
  if (status.reason === 'NonZeroExitCode' && Number.isInteger(code)) return code;
  throw ApiError.fromStatus(status, 500);
}
