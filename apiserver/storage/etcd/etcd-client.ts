// etcd-client.ts
//
// The client of etcd3, with the calls that matter to speed made with encoders of ours (etcd-messages.ts, etcd-txn.ts): the
// same connections, credentials and errors, without the conversion of every message over objects of text.

import { Etcd3, castGrpcError } from 'etcd3';

/** An open stream of watch answers. */
export interface WatchStream<T> extends AsyncIterable<T> {
  write(request: Buffer): void;
  end(): void;
  cancel(): void;
}

export class EtcdClient extends Etcd3 {
  /**
   * A call of the KV service.
   * @param deadline wall-clock milliseconds
   * @throws what etcd3 throws
   */
  kvCall<T>(method: 'Range' | 'Txn', request: Buffer, decode: (answer: Buffer) => T, deadline: number): Promise<T> {
    return this.pool.withConnection(
      'KV',
      ({ client, metadata }) =>
        new Promise<T>((resolve, reject) => {
          client.makeUnaryRequest(`/etcdserverpb.KV/${method}`, asItIs, decode, request, metadata, { deadline }, (error, answer) => {
            if (error) reject(castGrpcError(error));
            else resolve(answer!);
          });
        }),
    );
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
