/** The part of JSON Schema that our walks read. */
export interface SchemaNode {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  format?: string;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, SchemaNode>;
  required?: readonly string[];
  additionalProperties?: SchemaNode | boolean;
  patternProperties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  anyOf?: readonly SchemaNode[];
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  /** How writers share a list: atomic, as one whole (the default), set, or map, item by item. */
  'x-kubernetes-list-type'?: string;
  /** The fields that name an item of a list of type map. */
  'x-kubernetes-list-map-keys'?: readonly string[];
  /** How writers share a mapping: granular, field by field (the default), or atomic, as one whole. */
  'x-kubernetes-map-type'?: string;
  [keyword: string]: unknown;
}
