// etcd-endpoints.ts
//
// Connections to etcd, one endpoint at a time: calls stay with it until it fails, then go to the next. etcd3 alone picks one
// at random for each call and, with its own fault handling off, would fail each call that meets a dead member.

import { noop } from 'cockatiel';
import { ClientClosedError } from 'etcd3';
import type { Clock } from '../../../lib/clock.js';
import { StoreUnavailableError } from '../store.js';
import { EtcdClient } from './etcd-client.js';
import { UnaryClient } from './etcd-connection.js';
import { decodeRange, encodeRange, type RangeAnswer, type RangeRequest } from './etcd-messages.js';
import { decodeTxn, encodeTxn, type EtcdWrite, type TxnAnswer } from './etcd-txn.js';

export interface EtcdTls {
  /** PEM: certificates that the server's is checked against. */
  readonly ca: Buffer;
  /** PEM: our own certificate and key, where the server asks for one. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/**
 * What etcd may send before this process has taken it, bytes. A commit comes back through the watch as half a megabyte in one message; with the 64 KB
 * of HTTP/2 it came in ten pieces, each of which waited for a turn of a busy event loop.
 */
const flowControlWindowBytes = 4 * 1_024 * 1_024;

/** An answer later than this is no answer. Watches and keep-alive streams have no deadline. */
const callDeadlineMs = 5_000;

export class EtcdEndpoints {
  readonly #clients: readonly EtcdClient[];
  #current = 0;

  /** @param options.endpoints URLs such as http://127.0.0.1:2379, all http or all https */
  constructor(options: { endpoints: readonly string[]; tls?: EtcdTls; clock: Clock }) {
    const { tls, clock } = options;
    this.#clients = options.endpoints.map(
      (host) =>
        new EtcdClient(
          {
            hosts: host,
            ...(tls && {
              credentials: { rootCertificate: tls.ca, ...(tls.cert && { certChain: tls.cert }), ...(tls.key && { privateKey: tls.key }) },
            }),
            // Its retries would repeat transactions whose outcome is unknown, and its circuit breaker would answer one refused
            // request with five seconds of failure for all.
            faultHandling: { host: () => noop, global: noop },
            defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: clock.now() + callDeadlineMs }),
            grpcOptions: {
              'grpc.max_receive_message_length': -1,
              'grpc.max_send_message_length': -1,
              'grpc-node.flow_control_window': flowControlWindowBytes,
              // Else all EtcdEndpoints of a process share one connection, and what is urgent waits behind megabytes that are not.
              'grpc.use_local_subchannel_pool': 1,
              // A connection that is cut without a word is noticed within 15 s; etcd refuses pings closer than 5 s.
              'grpc.keepalive_time_ms': 10_000,
              'grpc.keepalive_timeout_ms': 5_000,
              'grpc.initial_reconnect_backoff_ms': 100,
              'grpc.min_reconnect_backoff_ms': 100,
              'grpc.max_reconnect_backoff_ms': 1_000,
            },
          },
          new UnaryClient({ endpoint: host, ...(tls && { tls }), clock, deadlineMs: callDeadlineMs, windowBytes: flowControlWindowBytes }),
        ),
    );
  }

  /** The endpoint in use, for a stream. Say `failed` when the stream breaks. */
  get current(): EtcdClient {
    return this.#clients[this.#current]!;
  }

  /** The next stream or call goes to another endpoint, if `client` is still the one in use. */
  failed(client: EtcdClient): void {
    if (client === this.current) this.#current = (this.#current + 1) % this.#clients.length;
  }

  /**
   * Calls etcd; a call that surely did not reach it goes on to the other endpoints.
   * @throws StoreUnavailableError
   * @throws what etcd answers when it refused the request itself
   */
  async call<T>(fn: (client: EtcdClient) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const client = this.current;
      try {
        return await fn(client);
      } catch (error) {
        const failure = unavailability(error);
        if (!failure) throw error;
        this.failed(client);
        if (failure.applied === 'unknown' || tries >= this.#clients.length) throw failure;
      }
    }
  }

  /** Keys and what is stored there. @throws what `call` throws */
  range(request: RangeRequest): Promise<RangeAnswer> {
    const encoded = encodeRange(request);
    return this.call((client) => client.kvCall('Range', encoded, decodeRange));
  }

  /** Commits a batch in one transaction. @throws what `call` throws */
  txn(batch: readonly EtcdWrite[]): Promise<TxnAnswer> {
    const encoded = encodeTxn(batch);
    return this.call((client) => client.kvCall('Txn', encoded, decodeTxn));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** Phrases of errors after which the request was surely not carried out. */
const notApplied = [
  'No connection established',
  'ECONNREFUSED',
  'Name resolution failed',
  'Channel closed before call started',
  'Channel has been shut down',
  'etcdserver: too many requests',
  'etcdserver: no leader',
  'etcdserver: mvcc: database space exceeded',
  'etcdserver: request is too large',
];

/** The compaction errors of etcd: the revision that was asked for is no longer kept, or not there yet. */
const answers = ['required revision has been compacted', 'required revision is a future revision', 'requested lease not found'];

function unavailability(error: unknown): StoreUnavailableError | undefined {
  const { message } = error as Error;
  if (answers.some((phrase) => message.includes(phrase))) return undefined;
  const applied = error instanceof ClientClosedError || notApplied.some((phrase) => message.includes(phrase)) ? 'no' : 'unknown';
  return new StoreUnavailableError(`etcd did not answer: ${message}`, applied, { cause: error });
}

export function isCompacted(error: unknown): boolean {
  return (error as Error).message.includes('required revision has been compacted') || (error as Error).message.includes('required revision is a future revision');
}
