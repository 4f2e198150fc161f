// exec-session.ts
//
// One client and one command beside a task. The end, in order: the command itself exits → what it still has in its pipes is
// sent; others may hold those open, and are given a moment → what it left running is killed → what that had written is sent →
// the Status. A client that takes its time holds all that up; one that is gone ends it.

import type { ExecTunnelRequest } from '../../api/protocol.js';
import { channels, encodeFrame } from '../../api/stream-frames.js';
import { sleep, type Clock } from '../../lib/clock.js';
import type { MuxStream } from '../../lib/mux.js';
import { StartError, type ExecProcess, type Execution } from '../driver.js';
import { feed } from './frame-input.js';
import { FrameOutput } from './frame-output.js';
import { conclude, exitStatus, internalError } from './outcome.js';

/** For processes that outlive the command to write their last words: `cmd > >(tee log)`. */
const lastWordsMs = 500;
/** For a command whose client is gone, to end by itself. */
const hangUpMs = 1_000;

/** Resolves when nothing of it is left. @throws what Execution.exec throws, before a byte was sent */
export async function serveExec(stream: MuxStream, request: ExecTunnelRequest, execution: Execution, clock: Clock): Promise<void> {
  let command: ExecProcess;
  try {
    command = await execution.exec({
      argv: request.command,
      stdin: request.stdin,
      stdout: request.stdout,
      stderr: request.stderr && !request.tty,
      tty: request.tty,
    });
  } catch (error) {
    if (error instanceof StartError) return refuse(stream, request, error, clock);
    throw error;
  }
  const gone = stream.closed.then(async () => {
    command.hangUp();
    const waited = new AbortController();
    await Promise.race([command.ended, sleep(clock, hangUpMs, waited.signal)]);
    waited.abort();
    await command.close();
  });
  void feed(stream, { stdin: command.stdin, resize: (size) => command.resize(size) });
  const output = new FrameOutput(stream, clock);
  for (const { name, readable } of command.outputs) output.add(readable, request[name] ? channels[name] : undefined);
  const end = await command.ended;
  await output.settle(lastWordsMs);
  await command.killAll();
  await output.settle(lastWordsMs);
  await command.close();
  await conclude(stream, 'failed' in end ? internalError(`error executing command in task "${request.name}": ${end.failed}`) : exitStatus(end.exitCode), clock);
  stream.reset('the stream is over');
  await gone;
}

/** As a shell would: a sentence on stderr and an exit code, which kubectl hands on. */
async function refuse(stream: MuxStream, request: ExecTunnelRequest, error: StartError, clock: Clock): Promise<void> {
  void feed(stream, { stdin: undefined });
  const channel = request.stderr && !request.tty ? channels.stderr : request.stdout ? channels.stdout : undefined;
  if (channel !== undefined) await stream.write(encodeFrame(channel, Buffer.from(`exec failed: ${error.message}${request.tty ? '\r\n' : '\n'}`))).catch(() => undefined);
  await conclude(stream, exitStatus(error.exitCode), clock);
}
