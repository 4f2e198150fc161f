// transport.ts
//
// The seam between the API server and everyone else: HTTP requests as values. The network transport (client/) and the
// in-process one (apiserver/in-process.ts) both offer it, so that tests and the simulator run the real handler.

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path without query, percent-encoded: `/api/v1/nodes/n1`. */
  path: string;
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  headers?: Readonly<Record<string, string>>;
  /** JSON text unless headers say otherwise. */
  body?: string;
  signal?: AbortSignal;
}

export interface ApiResponse {
  status: number;
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>;
  body: string;
}

export interface ApiStream {
  status: number;
  headers: Readonly<Record<string, string>>;
  /** The body as it arrives. Ends when the server ends it; throws when the connection breaks. */
  chunks: AsyncIterable<Buffer>;
}

export interface Transport {
  /** @throws TransportError when no answer came. Answers of any status are returned. */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** For watches and logs: resolves when the headers are here. @throws TransportError */
  stream(request: ApiRequest): Promise<ApiStream>;
  /** Lets idle connections go. */
  close(): Promise<void>;
}

/** The server could not be reached, or the connection broke before the answer was whole. */
export class TransportError extends Error {
  override readonly name = 'TransportError';

  /** The server's machine answered that nobody listens: at that moment the server was not running. */
  get refused(): boolean {
    return (this.cause as { code?: unknown } | undefined)?.code === 'ECONNREFUSED';
  }
}
