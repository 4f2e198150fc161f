// fake-agent.ts: an agent's end of the tunnel for tests of the API server: runs commands without a terminal, and dials ports.

import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import { once } from 'node:events';
import type { ExecTunnelRequest, TunnelRequest } from '../../../../api/protocol.js';
import { channels, encodeFrame, FrameReader } from '../../../../api/stream-frames.js';
import { Mux, type MessageChannel, type MuxStream } from '../../../../lib/mux.js';

const success = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };

export class FakeAgent {
  /** Every request so far. */
  readonly requests: TunnelRequest[] = [];
  /** Called with why a stream was reset, when it was. */
  onReset: (reason: string) => void = () => undefined;
  readonly mux: Mux;

  constructor(channel: MessageChannel) {
    this.mux = new Mux({
      channel,
      initiator: false,
      onStream: (stream, message) => {
        const request = JSON.parse(message.toString()) as TunnelRequest;
        this.requests.push(request);
        const serve = request.type === 'port-forward' ? this.#dial(stream, request.port) : request.type === 'log' ? Promise.reject(new Error('no logs')) : this.#run(stream, request.type === 'exec' ? request : undefined);
        serve.catch((error: Error) => {
          stream.reset(error.message);
          this.onReset(error.message);
        });
      },
    });
  }

  /** `sizes` prints what arrives for the terminal; an attach echoes; `refuse` resets; anything else is run. */
  async #run(stream: MuxStream, request: ExecTunnelRequest | undefined): Promise<void> {
    const [program = '', ...args] = request?.command ?? ['cat'];
    if (program === 'refuse') throw new Error(JSON.stringify({ kind: 'Status', status: 'Failure', reason: 'BadRequest', message: 'not today' }));
    const child = program === 'sizes' ? undefined : spawn(program, args);
    const copy = async (from: Readable, channel: number): Promise<void> => {
      for await (const chunk of from) await stream.write(encodeFrame(channel, chunk as Buffer));
    };
    const copied = child ? Promise.all([copy(child.stdout, channels.stdout), copy(child.stderr, channels.stderr)]) : Promise.resolve();
    copied.catch(() => undefined);
    child?.stdin.on('error', () => undefined);
    const exited = child ? once(child, 'close').catch((error: Error) => [error]) : Promise.resolve([0]);
    const closed = this.#input(stream, child?.stdin).catch((error: Error) => {
      child?.kill('SIGKILL');
      this.onReset(error.message);
    });
    if (!child) await closed;
    const [code] = (await exited) as [number | Error | null];
    await copied.catch(() => undefined);
    const failed = { ...success, status: 'Failure', reason: 'NonZeroExitCode', message: `command terminated with non-zero exit code: exit status ${String(code)}`, details: { causes: [{ reason: 'ExitCode', message: String(code) }] } };
    const status = code === 0 ? success : code instanceof Error ? { ...success, status: 'Failure', reason: 'InternalError', message: code.message } : failed;
    await stream.write(encodeFrame(channels.status, Buffer.from(JSON.stringify(status)))).catch(() => undefined);
    stream.end();
  }

  async #input(stream: MuxStream, stdin: NodeJS.WritableStream | undefined): Promise<void> {
    const reader = new FrameReader();
    for await (const piece of stream) {
      for (const { channel, payload } of reader.read(piece)) {
        if (channel === channels.stdin) {
          if (stdin && !stdin.write(payload)) await new Promise<void>((resolve) => void stdin.once('drain', resolve).once('close', resolve));
        } else if (channel === channels.close) {
          if (!stdin) return;
          stdin.end();
        } else if (channel === channels.resize) {
          await stream.write(encodeFrame(channels.stdout, Buffer.concat([payload, Buffer.from('\n')])));
        }
      }
    }
  }

  async #dial(stream: MuxStream, port: number): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const failed = once(socket, 'error').then(([error]) => Promise.reject(error as Error));
    failed.catch(() => undefined);
    await Promise.race([once(socket, 'connect'), failed]);
    const back = (async () => {
      for await (const chunk of socket) await stream.write(chunk as Buffer);
      stream.end();
    })();
    const forth = (async () => {
      for await (const data of stream) if (!socket.write(data)) await once(socket, 'drain');
      socket.end();
    })();
    try {
      await Promise.all([back, forth]);
    } finally {
      socket.destroy();
    }
  }
}
