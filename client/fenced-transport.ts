import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../api/transport.js';

/**
 * Lets writes through only while `mayWrite()`. A process that was frozen past the end of its leadership wakes up with
 * writes in hand before its timers tell it to stop; those writes end here.
 */
export class FencedTransport implements Transport {
  readonly #inner: Transport;
  readonly #mayWrite: () => boolean;

  constructor(options: { transport: Transport; mayWrite: () => boolean }) {
    this.#inner = options.transport;
    this.#mayWrite = options.mayWrite;
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    if (request.method !== 'GET' && !this.#mayWrite()) throw new TransportError(`${request.method} ${request.path}: not sent, leadership has ended`);
    return this.#inner.request(request);
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    return this.#inner.stream(request);
  }

  /** The inner transport belongs to whoever made it. */
  async close(): Promise<void> {}
}
