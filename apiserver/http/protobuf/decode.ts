// decode.ts: a request body in Kubernetes' protobuf frame, as the JSON value that it stands for.
//
//   6b 38 73 00                    "k8s\0"
//   Unknown                        1 typeMeta {1 apiVersion, 2 kind}, 2 raw: the object, 3 contentEncoding, 4 contentType
//
// https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding

import { ApiError, badRequest } from '../../../api/errors.js';
import { rawFields, readMessage } from './reader.js';
import { messageTypeOf } from './types.js';

export const protobufType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/** @throws ApiError BadRequest for bytes that are no such frame, UnsupportedMediaType for a kind that is sent as JSON only */
export function decodeProtobuf(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, magic.length).equals(magic)) throw badRequest('the body of the request is not Kubernetes protobuf: it does not begin with 6b 38 73 00');
  const unknown = rawFields(body.subarray(magic.length));
  const { apiVersion = '', kind = '' } = readMessage(unknown.get(1) ?? Buffer.alloc(0), { 1: { name: 'apiVersion', type: 'string' }, 2: { name: 'kind', type: 'string' } }) as Record<string, string>;
  if (unknown.get(3)?.length) throw badRequest('the body of the request is not Kubernetes protobuf that this server reads: its content is encoded once more');
  const type = messageTypeOf(apiVersion, kind);
  if (!type) {
    throw new ApiError('UnsupportedMediaType', `the body of the request was in an unknown format - ${shown(apiVersion)}, Kind=${shown(kind)} is not read as protobuf; accepted media types include: application/json, application/yaml`);
  }
  return { apiVersion, kind, ...readMessage(unknown.get(2) ?? Buffer.alloc(0), type) };
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
