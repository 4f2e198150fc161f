// publish.ts
//
// A user's schema as clients are told of it: v3 says all of it, v2 what its language has words for and kubectl can take.
// https://github.com/kubernetes/apiextensions-apiserver/blob/master/pkg/controller/openapi/builder/builder.go

import { Type } from 'typebox';
import { ObjectMeta } from '../meta.js';
import type { SchemaNode } from '../schema.js';
import { restNode, type StructuralNode } from './node.js';

const typeMeta = {
  apiVersion: Type.String({ description: 'APIVersion defines the versioned schema of this representation of an object.' }) as unknown as SchemaNode,
  kind: Type.String({ description: 'Kind is a string value representing the REST resource this object represents.' }) as unknown as SchemaNode,
  metadata: ObjectMeta as unknown as SchemaNode,
};

const intOrString: readonly SchemaNode[] = [{ type: 'integer' }, { type: 'string' }];

/** The whole object: the schema with apiVersion, kind and metadata, also of the objects embedded in it. */
export function published(root: StructuralNode): SchemaNode {
  const { 'x-kubernetes-embedded-resource': _ofRoot, ...rest } = complete(root);
  return rest;
}

function complete(node: StructuralNode): SchemaNode {
  const { properties, items, additionalProperties, ...rest } = node;
  const result: SchemaNode = rest;
  if (node['x-kubernetes-int-or-string'] && !node.anyOf && !node.allOf) result.anyOf = intOrString;
  const fields = Object.fromEntries(Object.entries(properties ?? {}).map(([key, child]) => [key, complete(child)]));
  if (node['x-kubernetes-embedded-resource']) result.properties = { ...typeMeta, ...fields, ...typeMeta };
  else if (properties) result.properties = fields;
  if (items) result.items = complete(items);
  if (additionalProperties !== undefined) result.additionalProperties = typeof additionalProperties === 'object' ? complete(additionalProperties) : additionalProperties;
  return result;
}

/** Without choices, and without a type where null or unknown fields may be: kubectl would refuse them. */
export function forOpenApiV2(root: StructuralNode, preserveUnknownFields: boolean): SchemaNode {
  // Any property named here would make kubectl refuse the others.
  if (preserveUnknownFields || root['x-kubernetes-preserve-unknown-fields']) return { type: 'object', ...(root.description ? { description: root.description } : {}) };
  return reduced({ ...(published(root) as StructuralNode) });
}

const choices: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'nullable', 'default', 'properties', 'items', 'additionalProperties', 'required']);

function reduced(node: StructuralNode): SchemaNode {
  const result: SchemaNode = Object.fromEntries(Object.entries(node).filter(([keyword]) => !choices.has(keyword)));
  const keepsUnknown = node['x-kubernetes-preserve-unknown-fields'] === true;
  const isOpen = node.nullable === true || keepsUnknown;
  const required = requiredInV2(node);
  if (required && !isOpen) result.required = required;
  if (node.items && !isOpen) result.items = reduced(node.items);
  if (node.properties && !isOpen) {
    result.properties = Object.fromEntries(Object.entries(node.properties).map(([key, child]) => [key, key === 'metadata' && (child as unknown) === ObjectMeta ? child : reduced(child)]));
  }
  const rest = restNode(node);
  if (rest && node.nullable !== true) result.additionalProperties = reduced(rest);
  if (node.nullable || (node.type === 'array' && !result.items) || (node.type === 'object' && keepsUnknown)) delete result.type;
  return result;
}

/** v2 does not know null, so a field that may be null need not be there. */
function requiredInV2(node: StructuralNode): readonly string[] | undefined {
  if (restNode(node)?.nullable) return undefined;
  const names = node.required?.filter((name) => !node.properties?.[name]?.nullable);
  return names && names.length > 0 ? names : undefined;
}
