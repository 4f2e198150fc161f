import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy on a free loopback port that can cut its connections: for tests of what survives a bad network.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections are cut when this many more bytes have come back from the target. */
  #bytesUntilCut = Infinity;
  #refusing = false;
  readonly #swallowed = new WeakSet<Socket>();
  /** How many times connections have been cut. */
  cuts = 0;

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      if (this.#refusing) return void client.destroy();
      const target = connect(targetPort, '127.0.0.1');
      for (const [socket, other] of [[client, target], [target, client]] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
      client.on('data', (bytes) => {
        if (this.#swallowed.has(client)) return;
        if (target.write(bytes)) return;
        client.pause();
        target.once('drain', () => client.resume());
      });
      target.on('data', (bytes) => {
        if (this.#swallowed.has(target)) return;
        client.write(bytes);
        this.#bytesUntilCut -= bytes.length;
        if (this.#bytesUntilCut <= 0) this.cut();
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all connections once `bytes` more have come back from the target. */
  cutAfter(bytes: number): void {
    this.#bytesUntilCut = bytes;
  }

  /** Cuts all connections now; new ones are taken. */
  cut(): void {
    this.#bytesUntilCut = Infinity;
    this.cuts++;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** From now on nothing gets through on the connections that are open, and nobody is told; new ones are as ever. */
  swallow(): void {
    for (const socket of this.#sockets) this.#swallowed.add(socket);
  }

  /** Cuts all connections now, and each new one, until `accept`. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  accept(): void {
    this.#refusing = false;
  }

  async stop(): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}
