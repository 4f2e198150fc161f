// https-transport.ts
//
// HTTP requests as values over node:https, on connections that are kept and on one TLS context that is made once. Ordinary
// requests share a bounded pool; each stream (watch, log) has a connection of its own, so that streams cannot starve
// requests.

import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { createSecureContext, type SecureContext } from 'node:tls';
import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../api/transport.js';
import type { ClusterAccess } from './kubeconfig.js';

export interface HttpsTransportOptions {
  access: ClusterAccess;
  userAgent?: string;
  /** A request on whose connection nothing moves for so long has failed. Default 30,000. */
  timeoutMs?: number;
  /** Connections for ordinary requests; further requests wait for one. Default 64. */
  maxSockets?: number;
}

/** A silent peer is probed after this long; the kernel gives it up 10 s later (libuv: 10 probes, 1 s apart). */
const keepAliveProbeMs = 5_000;

export class HttpsTransport implements Transport {
  readonly #server: URL;
  readonly #basePath: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #pool: Agent;
  readonly #streams: Agent;

  /** @throws Error in one sentence when the access cannot work (no https, unreadable certificate or key) */
  constructor(options: HttpsTransportOptions) {
    const { access } = options;
    this.#server = serverUrl(access.server);
    this.#basePath = this.#server.pathname.replace(/\/+$/, '');
    this.#headers = {
      ...(options.userAgent ? { 'user-agent': options.userAgent } : {}),
      ...(access.token ? { authorization: `Bearer ${access.token}` } : {}),
    };
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    // The ready context instead of certificates: an agent builds its pool's name from those for every request.
    const tls = {
      secureContext: secureContextOf(access),
      rejectUnauthorized: !access.insecureSkipTlsVerify,
      ...(access.tlsServerName ? { servername: access.tlsServerName } : {}),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveProbeMs,
    };
    this.#pool = new Agent({ ...tls, keepAliveMsecs: keepAliveProbeMs, maxSockets: options.maxSockets ?? 64, scheduling: 'lifo' });
    this.#streams = new Agent({ ...tls, keepAlive: false, maxSockets: Infinity });
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#once(request);
      } catch (error) {
        // The server may close a kept connection just as we send. Asking again for something to read harms nobody.
        if (error instanceof StaleConnectionError && request.method === 'GET' && tries < 3) continue;
        throw error;
      }
    }
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    return new Promise((resolve, reject) => {
      const sent = this.#send(request, this.#streams);
      sent.setTimeout(this.#timeoutMs, () => sent.destroy(new Error(`no answer within ${this.#timeoutMs} ms`)));
      sent.once('error', (cause) => reject(this.#failure(request, cause)));
      sent.once('response', (response) => {
        // From now on silence is normal; a dead peer is found by the kernel's probes.
        sent.setTimeout(0);
        response.socket.setKeepAlive(true, keepAliveProbeMs);
        const what = `${request.method} ${request.path}`;
        resolve({ status: response.statusCode ?? 0, headers: headersOf(response), chunks: new StreamBody(response, what) });
      });
    });
  }

  async close(): Promise<void> {
    this.#pool.destroy();
    this.#streams.destroy();
  }

  #once(request: ApiRequest): Promise<ApiResponse> {
    return new Promise((resolve, reject) => {
      const sent = this.#send(request, this.#pool);
      const fail = (cause: Error): void => reject(this.#failure(request, cause, sent));
      sent.setTimeout(this.#timeoutMs, () => sent.destroy(new Error(`no answer within ${this.#timeoutMs} ms`)));
      sent.once('error', fail);
      sent.once('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.once('error', fail);
        response.once('aborted', () => fail(new Error('the connection broke before the answer was whole')));
        response.once('end', () => {
          const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
          resolve({ status: response.statusCode ?? 0, headers: headersOf(response), body: body.toString('utf8') });
        });
      });
    });
  }

  #send(request: ApiRequest, agent: Agent): ClientRequest {
    const options: RequestOptions = {
      agent,
      hostname: this.#server.hostname.replace(/^\[|\]$/g, ''),
      port: this.#server.port || 443,
      method: request.method,
      path: this.#basePath + pathWithQuery(request),
      headers: this.#headersFor(request),
      ...(request.signal ? { signal: request.signal } : {}),
    };
    const sent = httpsRequest(options);
    sent.end(request.body);
    return sent;
  }

  #headersFor(request: ApiRequest): Record<string, string | number> {
    const length: Record<string, number> = request.body === undefined ? {} : { 'content-length': Buffer.byteLength(request.body) };
    return { ...this.#headers, ...request.headers, ...length };
  }

  #failure(request: ApiRequest, cause: Error, sent?: ClientRequest): TransportError {
    const code = (cause as NodeJS.ErrnoException).code;
    const message = `${request.method} ${request.path}: ${explain(cause, this.#server)}`;
    const stale = sent?.reusedSocket === true && (code === 'ECONNRESET' || code === 'EPIPE');
    return stale ? new StaleConnectionError(message, { cause }) : new TransportError(message, { cause });
  }
}

/** A kept connection broke when it was used again. */
class StaleConnectionError extends TransportError {}

/** The body of a response: read once, at the reader's pace; letting go of it early closes the connection. */
class StreamBody implements AsyncIterable<Buffer> {
  readonly #response: IncomingMessage;
  readonly #what: string;

  constructor(response: IncomingMessage, what: string) {
    this.#response = response;
    this.#what = what;
    // An error while nobody reads must not end the process; a reader sees it as its own.
    response.on('error', () => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of this.#response) yield chunk as Buffer;
    } catch (cause) {
      throw new TransportError(`${this.#what}: the connection broke`, { cause });
    } finally {
      this.#response.destroy();
    }
  }
}

function serverUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new Error(`the server address "${text}" is not a URL; it should look like https://127.0.0.1:6443`, { cause });
  }
  if (url.protocol !== 'https:') throw new Error(`the server address "${text}" must start with https://: credentials do not travel unencrypted`);
  return url;
}

function secureContextOf(access: ClusterAccess): SecureContext {
  try {
    return createSecureContext({ ca: access.ca, cert: access.cert, key: access.key });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the certificates for ${access.server} cannot be used (${why}); make or fetch the kubeconfig again`, { cause });
  }
}

/** What follows the method in the first line of the request. */
export function pathWithQuery(request: Pick<ApiRequest, 'path' | 'query'>): string {
  if (!request.query) return request.path;
  let text = '';
  for (const [key, value] of Object.entries(request.query)) {
    if (value === undefined) continue;
    text += `${text === '' ? '?' : '&'}${encodeURIComponent(key)}=${encodeURIComponent(value)}`;
  }
  return request.path + text;
}

function headersOf(response: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

/** What went wrong, for someone who has to mend it. */
function explain(cause: Error, server: URL): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ECONNREFUSED':
      return `nothing listens on ${server.host}; is the API server running?`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${server.hostname} cannot be resolved`;
    case 'CERT_SIGNATURE_FAILURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return `the certificate of ${server.host} is not signed by the certificate-authority of the kubeconfig (was the data directory made anew? then fetch its kubeconfig again)`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${server.host} is for other names (${cause.message})`;
    default:
      return cause.message;
  }
}
