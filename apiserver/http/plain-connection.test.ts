import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { ServerReply } from './message.js';
import { startServer, type RunningServer } from './testing/running-server.js';

const tasks = '/apis/taskplane.dev/v1/namespaces/default/tasks';
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

function post(name: string, text = ''): string {
  const body = JSON.stringify({ metadata: { name, annotations: { text } }, spec: { command: ['true'] } });
  return `POST ${tasks} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A client that says exactly what it is told to. */
class Client {
  #text = '';
  private constructor(readonly socket: TLSSocket) {
    socket.on('data', (part: Buffer) => (this.#text += part.toString('latin1')));
    socket.on('error', () => undefined);
  }

  static async open(server: RunningServer): Promise<Client> {
    const socket = connect({ host: '127.0.0.1', port: server.port, ca: server.authority.cert, ...server.admin });
    const client = new Client(socket);
    await once(socket, 'secureConnect');
    return client;
  }

  /** Resolves with all that has been answered, when that holds. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#text)) await once(this.socket, 'data');
    return this.#text;
  }

  async closed(): Promise<string> {
    if (!this.socket.closed) await once(this.socket, 'close');
    return this.#text;
  }
}

describe('a connection of plain requests', () => {
  let server: RunningServer;
  let client: Client;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.stop());
  const answerWith = (reply: ServerReply) => jest.spyOn(server.core.handler, 'handle').mockResolvedValueOnce(reply);

  it('gets one answer after the other, their lengths in bytes', async () => {
    client = await Client.open(server);
    client.socket.write(post('a', 'Größe'));
    const created = await client.until(/\r\n\r\n.*\}$/s);
    const [head, body] = created.split('\r\n\r\n') as [string, string];
    expect(head).toMatch(/^HTTP\/1\.1 201 Created\r\ncontent-type: application\/json\r\nx-request-id: /);
    expect(head).toMatch(/\r\nDate: \w{3}, .* GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=100$/);
    expect(head).toContain(`content-length: ${body.length}`);
    client.socket.write(get(`${tasks}/nobody`));
    await client.until(/HTTP\/1\.1 404 Not Found.*"code":404\}/s);
    client.socket.destroy();
  });

  it('goes on as any other with a request in pieces, with several at once and with a watch', async () => {
    client = await Client.open(server);
    client.socket.write(get(`${tasks}/nobody`));
    await client.until(/404 Not Found.*\}\s*$/s);
    const text = post('b');
    client.socket.write(text.slice(0, 30));
    client.socket.write(text.slice(30, -10));
    client.socket.write(text.slice(-10));
    await client.until(/201 Created.*"name":"b".*\}\s*$/s);
    client.socket.write(get(`${tasks}?watch=1&fieldSelector=metadata.name%3Db`));
    await client.until(/"type":"ADDED"/);
    client.socket.destroy();

    client = await Client.open(server);
    client.socket.write(post('c') + get(`${tasks}/c`) + post('c'));
    await client.until(/^HTTP\/1\.1 201 Created.*HTTP\/1\.1 200 OK.*HTTP\/1\.1 409 Conflict/s);
    client.socket.destroy();
  });

  it('gets answers that are streams, or say more than ASCII, and others after them', async () => {
    client = await Client.open(server);
    answerWith({
      status: 200,
      headers: {},
      body: (output) => {
        output.write('one');
        output.end();
      },
    });
    client.socket.write(get(tasks));
    await client.until(/Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n$/);
    client.socket.write(get(`${tasks}/nobody`));
    await client.until(/404 Not Found/);
    client.socket.destroy();

    client = await Client.open(server);
    answerWith({ status: 200, headers: { warning: 'Größe' }, body: 'x' });
    client.socket.write(get(tasks));
    expect(await client.until(/x$/)).toContain('warning: Gr');
    client.socket.destroy();
  });

  it('is cut without a word too much when a header would be two', async () => {
    client = await Client.open(server);
    answerWith({ status: 200, headers: { warning: 'a\r\nset-cookie: b' }, body: 'x' });
    client.socket.write(get(tasks));
    expect(await client.closed()).toBe('');
  });

  it('tells a request under way that its client has gone', async () => {
    client = await Client.open(server);
    let gone: Promise<unknown> | undefined;
    const asked = new Promise<void>((resolve) => {
      jest.spyOn(server.core.handler, 'handle').mockImplementationOnce((request) => {
        gone = once(request.signal, 'abort');
        resolve();
        return gone.then(() => ({ status: 200, headers: {}, body: 'x' }));
      });
    });
    client.socket.write(get(tasks));
    await asked;
    client.socket.destroy();
    await gone;
  });
});

it('ends connections when the server stops, with the answer that is under way', async () => {
  const server = await startServer({ arrivalMs: 60_000 });
  const [idle, busy] = [await Client.open(server), await Client.open(server)];
  let answer: ((reply: ServerReply) => void) | undefined;
  const asked = new Promise<void>((resolve) => {
    jest.spyOn(server.core.handler, 'handle').mockImplementationOnce(() => {
      resolve();
      return new Promise((settle) => (answer = settle));
    });
  });
  busy.socket.write(get(tasks));
  await asked;
  const stopped = server.stop();
  expect(await idle.closed()).toBe('');
  answer!({ status: 200, headers: {}, body: 'done' });
  expect(await busy.closed()).toMatch(/Connection: close\r\n\r\ndone$/);
  await stopped;
});

it('tells whoever never asks for anything that it took too long', async () => {
  const server = await startServer({ arrivalMs: 100 });
  const client = await Client.open(server);
  expect(await client.closed()).toMatch(/^HTTP\/1\.1 408 /);
  await server.stop();
});
