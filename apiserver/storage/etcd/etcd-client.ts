// etcd-client.ts
//
// The client of etcd3, with the calls that matter to speed made by encoders of ours (etcd-messages.ts, etcd-txn.ts), without the
// conversion of every message over objects of text, and calls of the KV service also on a connection of ours (etcd-connection.ts). Errors are
// those of etcd3.

import { Etcd3, castGrpcError, type IOptions } from 'etcd3';
import type { UnaryClient } from './etcd-connection.js';

/** An open stream of watch answers. */
export interface WatchStream<T> extends AsyncIterable<T> {
  write(request: Buffer): void;
  end(): void;
  cancel(): void;
}

export class EtcdClient extends Etcd3 {
  readonly #unary: UnaryClient;

  constructor(options: IOptions, unary: UnaryClient) {
    super(options);
    this.#unary = unary;
  }

  /**
   * A call of the KV service.
   * @throws what etcd3 throws
   */
  kvCall<T>(method: 'Range' | 'Txn', request: Buffer, decode: (answer: Buffer) => T): Promise<T> {
    return this.pool.withConnection('KV', async () => {
      try {
        return decode(await this.#unary.call(`/etcdserverpb.KV/${method}`, request));
      } catch (error) {
        throw castGrpcError(error as Error);
      }
    });
  }

  override close(): void {
    super.close();
    this.#unary.close();
  }

  /** A stream of the Watch service. Ended first, then cancelled, or etcd3 takes our own cancellation for a fault of the endpoint. */
  openWatch<T>(decode: (answer: Buffer) => T): Promise<WatchStream<T>> {
    return this.pool.withConnection('Watch', ({ resource, client, metadata }) => {
      const stream = client.makeBidiStreamRequest('/etcdserverpb.Watch/Watch', asItIs, decode, metadata, {});
      stream.on('error', (error) => {
        if (stream.writable) this.pool.markFailed(resource, error);
      });
      return stream;
    });
  }
}

function asItIs(request: Buffer): Buffer {
  return request;
}
