import { describe, expect, it } from '@jest/globals';
import { KindRegistry } from '../../api/kind-registry.js';
import { kinds } from '../../api/kinds.js';
import type { ServerRequest } from './message.js';
import { OpenApiV2 } from './openapi-v2.js';

type Fields = Map<number, Buffer[]>;

/** Reads a message of length-delimited fields. */
function fieldsOf(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    expect(tag % 8).toBe(2);
    const length = varint();
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), bytes.subarray(at, at + length)]);
    at += length;
  }
  return fields;
}

const one = (fields: Fields, ...path: number[]): Buffer => path.slice(1).reduce((bytes, number) => fieldsOf(bytes).get(number)![0]!, fields.get(path[0]!)![0]!);

describe('OpenAPI v2 in protobuf', () => {
  const request = { headers: {}, query: new URLSearchParams() } as unknown as ServerRequest;
  const document = fieldsOf(new OpenApiV2({ kinds: new KindRegistry(kinds), version: 'v1' }).handle(request).body as Buffer);

  it('defines every kind with its properties', () => {
    expect(one(document, 1).toString()).toBe('2.0');
    const definitions = fieldsOf(document.get(9)![0]!).get(1)!.map(fieldsOf);
    expect(definitions.map((definition) => one(definition, 1).toString())).toEqual(expect.arrayContaining(['dev.taskplane.v1.Task', 'io.k8s.api.core.v1.Node', 'io.k8s.api.coordination.v1.Lease']));
    const task = fieldsOf(definitions.find((definition) => one(definition, 1).toString() === 'dev.taskplane.v1.Task')!.get(2)![0]!);
    const properties = fieldsOf(task.get(25)![0]!).get(1)!.map((property) => one(fieldsOf(property), 1).toString());
    expect(properties).toEqual(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
    const gvk = fieldsOf(task.get(31)![0]!);
    expect([one(gvk, 1).toString(), one(gvk, 2, 2).toString()]).toEqual(['x-kubernetes-group-version-kind', '[{"group":"taskplane.dev","version":"v1","kind":"Task"}]']);
  });

  it('lists dryRun among the parameters of PATCH, without which old clients refuse --dry-run=server', () => {
    const paths = fieldsOf(document.get(8)![0]!).get(2)!.map(fieldsOf);
    const item = fieldsOf(paths.find((path) => one(path, 1).toString() === '/apis/taskplane.dev/v1/namespaces/{namespace}/tasks/{name}')!.get(2)![0]!);
    const patch = fieldsOf(item.get(8)![0]!);
    const names = patch.get(8)!.map((parameter) => one(fieldsOf(parameter), 1, 2, 3, 4).toString());
    expect(names).toContain('dryRun');
  });
});
