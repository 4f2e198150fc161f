// raw-client.ts
//
// HTTP/1.1 over TLS at next to no cost for the one who asks: the bytes of a request are made before the clock starts, and of
// an answer only its status and its end are looked for. A load generator shares two cores with the server that it measures;
// whatever it spends, the server lacks. One request at a time per connection, as clients do: no pipelining.

import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { ClusterAccess } from '../client/kubeconfig.js';
import { ResponseReader } from './response-reader.js';

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType?: string;
  readonly body?: string;
}

/** The bytes of a request, complete. */
export function encodeRequest({ method, path, contentType = 'application/json', body }: RawRequest): Buffer {
  const head = `${method} ${path} HTTP/1.1\r\nhost: taskplane\r\naccept: application/json\r\nuser-agent: taskplane-bench\r\n`;
  if (body === undefined) return Buffer.from(`${head}\r\n`);
  return Buffer.from(`${head}content-type: ${contentType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** Where to and as whom; one TLS context for all connections. */
export class RawAccess {
  readonly #url: URL;
  readonly #context: SecureContext;

  constructor({ server, ca, cert, key }: Pick<ClusterAccess, 'server' | 'ca' | 'cert' | 'key'>) {
    this.#url = new URL(server);
    this.#context = createSecureContext({ ca, cert, key });
  }

  /** A connection whose handshake is over. */
  connect(): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.#url.hostname, port: Number(this.#url.port), secureContext: this.#context }, () => {
        socket.off('error', reject);
        socket.setNoDelay(true);
        resolve(socket);
      });
      socket.once('error', reject);
    });
  }
}

/** Status and length of an answer, and its body as far as it was asked for. */
export type RawAnswer = (status: number, bytes: number, body: readonly Buffer[]) => void;

export class RawConnection {
  readonly #socket: TLSSocket;
  readonly #reader: ResponseReader;
  #status = 0;
  #bytes = 0;
  #body: Buffer[] = [];
  #keepBody = false;
  #answered: RawAnswer | undefined;

  /** @param lost called once when the connection ends, whoever ended it */
  constructor(socket: TLSSocket, lost: (error: Error) => void) {
    this.#socket = socket;
    this.#reader = new ResponseReader({
      begin: (status) => {
        this.#status = status;
        this.#bytes = 0;
        this.#body = [];
      },
      data: (piece) => {
        this.#bytes += piece.length;
        if (this.#keepBody) this.#body.push(piece);
      },
      end: () => this.#answered!(this.#status, this.#bytes, this.#body),
    });
    socket.on('data', (chunk: Buffer) => this.#reader.take(chunk));
    let error = new Error('the server closed the connection');
    socket.on('error', (cause) => (error = cause));
    socket.once('close', () => lost(error));
  }

  /** Sends a request; only once the one before has been answered. */
  send(request: Buffer, answered: RawAnswer, keepBody = false): void {
    this.#answered = answered;
    this.#keepBody = keepBody;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }
}
