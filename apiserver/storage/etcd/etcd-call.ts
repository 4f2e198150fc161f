// etcd-call.ts
//
// A unary call of gRPC on a session of HTTP/2: a message there, a message back, and the status in the trailers
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). @grpc/grpc-js does the same for twice the processor
// time, and each commit is such a call.

import { constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';

/** The codes of gRPC that are given here. */
export const grpcStatus = { deadlineExceeded: 4, internal: 13, unavailable: 14 } as const;

/** The server has not looked at the request, and will not. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

/** An error like those of @grpc/grpc-js, from which etcd3's `castGrpcError` makes its own. */
export function grpcError(code: number, details: string): Error {
  return Object.assign(new Error(`gRPC status ${code}: ${details}`), { code });
}

/** One byte says whether the message is compressed, four its length. */
const prefixBytes = 5;

/**
 * Sends `request` on a session that is ready. `done` is called once, with what went wrong or the answer: a RefusedError where the
 * request was surely not carried out, else what `grpcError` makes.
 */
export function callUnary(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  request: Buffer,
  done: (error: Error | undefined, answer: Buffer) => void,
): ClientHttp2Stream | undefined {
  let stream: ClientHttp2Stream;
  try {
    stream = session.request(headers);
  } catch (error) {
    done(new RefusedError((error as Error).message), nothing);
    return undefined;
  }
  const answer = new UnaryAnswer();
  let failure: Error | undefined;
  let isDone = false;
  const settle = (error: Error | undefined): void => {
    if (isDone) return;
    isDone = true;
    done(error, error ? nothing : answer.message);
  };
  stream.on('response', (head) => answer.takeHead(head));
  stream.on('data', (part: Buffer) => answer.takePart(part));
  stream.on('trailers', (trailers) => {
    answer.takeStatus(trailers);
    if (answer.isComplete) settle(undefined);
  });
  stream.on('error', (error) => (failure = error));
  stream.on('close', () => {
    // A session that ends with an error gives its streams the code of that error, whatever became of them.
    if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM && !session.destroyed) settle(new RefusedError('the request was refused'));
    else settle(answer.error ?? (answer.isComplete ? undefined : grpcError(grpcStatus.unavailable, `the connection broke: ${failure?.message ?? 'it was closed'}`)));
  });
  stream.end(framed(request));
  return stream;
}

const nothing = Buffer.alloc(0);

function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, prefixBytes);
  return frame;
}

/** What has come of an answer. */
class UnaryAnswer {
  #httpStatus = 0;
  #status: string | undefined;
  #details = '';
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #body: Buffer | undefined;

  takeHead(head: IncomingHttpHeaders): void {
    this.#httpStatus = Number(head[':status']);
    // An answer without a message has its status in its head.
    this.takeStatus(head);
  }

  takePart(part: Buffer): void {
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  takeStatus(head: IncomingHttpHeaders): void {
    this.#status ??= head['grpc-status'] as string | undefined;
    this.#details ||= (head['grpc-message'] as string | undefined) ?? '';
  }

  /** Whether the call succeeded and its message is here. */
  get isComplete(): boolean {
    if (this.#status !== '0' || this.#httpStatus !== constants.HTTP_STATUS_OK || this.#bytes < prefixBytes) return false;
    const body = this.#whole();
    return body[0] === 0 && body.length === prefixBytes + body.readUInt32BE(1);
  }

  get message(): Buffer {
    return this.#whole().subarray(prefixBytes);
  }

  /** What the server says is wrong, or what is wrong with what it says; undefined while it has said nothing. */
  get error(): Error | undefined {
    if (this.isComplete) return undefined;
    if (this.#status !== undefined && this.#status !== '0') return grpcError(Number(this.#status), decoded(this.#details));
    if (this.#status !== undefined) return grpcError(grpcStatus.internal, 'the answer is not one whole message');
    if (this.#httpStatus !== 0 && this.#httpStatus !== constants.HTTP_STATUS_OK) return grpcError(grpcStatus.unavailable, `HTTP status ${this.#httpStatus}`);
    return undefined;
  }

  #whole(): Buffer {
    if (this.#body?.length !== this.#bytes) this.#body = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts, this.#bytes);
    return this.#body;
  }
}

/** Messages of gRPC are percent-encoded. */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
