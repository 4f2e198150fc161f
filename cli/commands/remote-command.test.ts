import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import type { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { SystemRandom } from '../../lib/random.js';
import type { CommandContext } from '../context.js';
import { MemoryOutput } from '../io.js';
import { parsePort, portForward } from './port-forward.js';
import { attach, exec, taskName } from './remote-command.js';

/** Says what it is told to, as an API server would. */
class FakeServer {
  readonly http: Server = createHttpServer();
  readonly sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has('v5.channel.k8s.io') ? 'v5.channel.k8s.io' : false) });
  refusal: string | undefined;
  url = '';
  serve: (socket: WebSocket) => void = () => undefined;

  async listen(): Promise<string> {
    this.http.on('upgrade', (request, socket, head) => {
      this.url = request.url ?? '';
      if (this.refusal === undefined) return this.sockets.handleUpgrade(request, socket, head, (webSocket) => this.serve(webSocket));
      socket.end(`HTTP/1.1 404 Not Found\r\nContent-Length: ${this.refusal.length}\r\nConnection: close\r\n\r\n${this.refusal}`);
    });
    await once(this.http.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets.clients) socket.terminate();
    await once(this.http.close(), 'close');
  }
}

const frame = (channel: number, text: string | Buffer): Buffer => Buffer.concat([Buffer.of(channel), Buffer.from(text)]);
const failure = (code: number): string => JSON.stringify({ status: 'Failure', reason: 'NonZeroExitCode', message: `command terminated with exit code ${code}`, details: { causes: [{ reason: 'ExitCode', message: String(code) }] } });
const success = JSON.stringify({ status: 'Success', metadata: {} });

describe('the verbs that join this terminal to a task', () => {
  let server: FakeServer;
  let access: { server: string };
  let out: MemoryOutput;
  let err: MemoryOutput;
  let stop: AbortController;
  beforeEach(async () => {
    server = new FakeServer();
    access = { server: await server.listen() };
    out = new MemoryOutput();
    err = new MemoryOutput();
    stop = new AbortController();
  });
  afterEach(() => server.close());

  function contextWith(stdin: AsyncIterable<Buffer | string>): CommandContext {
    const client = { get: () => Promise.resolve({}) } as unknown as ApiClient;
    return { client, namespace: 'default', io: { stdin, out, err, env: {} }, clock: new SystemClock(), random: new SystemRandom(), signal: stop.signal };
  }

  const nothing = lines();

  it('hands both outputs and the exit code on, and asks for what it uses only', async () => {
    server.serve = (socket) => {
      socket.send(frame(1, 'out\n'));
      socket.send(frame(2, 'err\n'));
      socket.send(frame(3, failure(3)));
    };
    expect(await exec(contextWith(nothing), access, 'task/web', ['sh', '-c', 'a b'], {})).toBe(3);
    expect({ out: out.text, err: err.text }).toEqual({ out: 'out\n', err: 'err\n' });
    expect(server.url).toBe('/apis/taskplane.dev/v1/namespaces/default/tasks/web/exec?command=sh&command=-c&command=a+b&stdout=true&stderr=true');
  });

  it('sends what is piped, and that it has ended', async () => {
    server.serve = (socket) => {
      const got: Buffer[] = [];
      socket.on('message', (data: Buffer) => {
        if (data[0] === 0) got.push(data.subarray(1));
        else if (data[0] === 255 && data[1] === 0) {
          socket.send(frame(1, Buffer.concat(got)));
          socket.send(frame(3, success));
        }
      });
    };
    const big = 'x'.repeat(100_000);
    expect(await exec(contextWith(lines('one\n', Buffer.from('two\n'), big)), access, 'web', ['cat'], { stdin: true })).toBe(0);
    expect(out.text).toBe(`one\ntwo\n${big}`);
  });

  it('says that there is no terminal, and goes on without', async () => {
    server.serve = (socket) => socket.send(frame(3, success));
    await exec(contextWith(nothing), access, 'web', ['sh'], { stdin: true, tty: true });
    expect(err.text).toBe('Unable to use a TTY - input is not a terminal or the right kind of file\n');
    expect(server.url).not.toContain('tty');
  });

  it('tells of a refusal as the server words it', async () => {
    server.refusal = JSON.stringify({ kind: 'Status', status: 'Failure', reason: 'NotFound', message: 'tasks.taskplane.dev "web" not found', code: 404 });
    await expect(exec(contextWith(nothing), access, 'web', ['true'], {})).rejects.toMatchObject({ reason: 'NotFound', message: 'tasks.taskplane.dev "web" not found' });
  });

  it('tells of a connection that was lost, and of a server that is not there', async () => {
    server.serve = (socket) => socket.terminate();
    await expect(attach(contextWith(nothing), access, 'web', {})).rejects.toThrow('the connection was lost');
    await expect(attach(contextWith(nothing), { server: 'http://127.0.0.1:1' }, 'web', {})).rejects.toMatchObject({ name: 'TransportError' });
  });

  it('ends at Ctrl-C', async () => {
    server.serve = (socket) => {
      socket.send(frame(1, 'x'));
      out.write = () => stop.abort();
    };
    expect(await attach(contextWith(nothing), access, 'web', {})).toBe(130);
    // Before there was a connection.
    expect(await attach(contextWith(nothing), access, 'web', {})).toBe(130);
  });

  it('takes the names that kubectl takes, and no other', () => {
    expect(['web', 'task/web', 'tasks/web', 'pod/web', 'po/web'].map(taskName)).toEqual(['web', 'web', 'web', 'web', 'web']);
    expect(() => taskName('node/m7')).toThrow('node/m7 is no task');
  });

  it.each([
    ['8080', { local: 8080, remote: 8080 }],
    ['8081:80', { local: 8081, remote: 80 }],
    [':80', { local: 0, remote: 80 }],
  ])('reads the ports %s', (text, expected) => {
    expect(parsePort(text)).toEqual(expected);
  });

  it.each(['', 'http', '0', '70000', '1:2:3', '8080:', '99999:80'])('refuses %p as a port', (text) => {
    expect(() => parsePort(text)).toThrow('expected PORT, LOCAL:PORT or :PORT');
  });

  it('forwards each connection, both ways, and says why one is refused', async () => {
    let refuse = false;
    server.serve = (socket) => {
      socket.send(frame(0, Buffer.from([80, 0])));
      socket.send(frame(1, Buffer.from([80, 0])));
      if (refuse) {
        socket.send(frame(1, 'nobody listens'));
        return socket.close(1000);
      }
      socket.on('message', (data: Buffer) => {
        if (data[0] === 0) socket.send(frame(0, `echo ${data.subarray(1).toString()}`));
        else if (data[0] === 255) socket.close(1000);
      });
    };
    const forwarding = portForward(contextWith(nothing), access, 'web', [':80'], {});
    while (!out.text.includes('\n')) await new Promise((resolve) => setImmediate(resolve));
    expect(out.text).toMatch(/^Forwarding from 127\.0\.0\.1:\d+ -> 80\n$/);
    const port = Number(/:(\d+) ->/.exec(out.text)![1]);
    expect(await talk(port, 'hello')).toBe('echo hello');
    refuse = true;
    expect(await talk(port, 'hello')).toBe('');
    expect(err.text).toBe('error: nobody listens\n');
    stop.abort();
    expect(await forwarding).toBe(0);
  });
});

async function* lines(...chunks: (string | Buffer)[]): AsyncGenerator<string | Buffer> {
  yield* chunks;
}

/** Says something, then that this is all; resolves with the answer. */
async function talk(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString();
    socket.end();
  });
  socket.on('error', () => undefined);
  socket.write(text);
  await new Promise((resolve) => socket.once(answer ? 'close' : 'end', resolve));
  socket.destroy();
  return answer;
}
