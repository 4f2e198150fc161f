// structural-schema.ts
//
// The schema of a user's kind, as the generic layers use any. apiVersion, kind and metadata are ours, whatever the user's schema says
// of them; of metadata it may restrict name and generateName.

import type { FieldProblem } from '../errors.js';
import type { SchemaNode, SchemaRules } from '../schema.js';
import { embeddedProblems, metadataSchema } from './embedded.js';
import { dropNulls, fillDefaults, walkUnknown } from './fields.js';
import { isMapping, rootPath } from './json.js';
import { listTypeProblems } from './list-types.js';
import { nodeOf, someNode, type StructuralNode } from './node.js';
import { forOpenApiV2, published } from './publish.js';
import { Rules } from './rules.js';
import { ofChanges } from './unchanged.js';
import { valueProblems } from './values.js';

export interface StructuralSchemaOptions {
  /** spec.preserveUnknownFields of a CustomResourceDefinition: nothing is pruned. */
  preserveUnknownFields?: boolean;
}

export class StructuralSchema implements SchemaRules {
  readonly keepsNulls = true;
  /** The user's schema, with what stands for apiVersion, kind and metadata. */
  readonly node: StructuralNode;
  readonly #preserveUnknownFields: boolean;
  /** What few schemas have is looked for in values of those only. */
  readonly #embeds: boolean;
  readonly #hasListTypes: boolean;
  #root: SchemaNode | undefined;
  #rules: Rules | undefined;

  /** @param openAPIV3Schema any JSON; what is no schema in it is passed over, see checkStructural */
  constructor(openAPIV3Schema: unknown, { preserveUnknownFields = false }: StructuralSchemaOptions = {}) {
    this.node = { ...nodeOf(openAPIV3Schema), 'x-kubernetes-embedded-resource': true };
    this.#preserveUnknownFields = preserveUnknownFields;
    this.#embeds = someNode(this.node, (node) => node['x-kubernetes-embedded-resource'] === true);
    this.#hasListTypes = someNode(this.node, (node) => node['x-kubernetes-list-type'] !== undefined && node['x-kubernetes-list-type'] !== 'atomic');
  }

  get root(): SchemaNode {
    return (this.#root ??= published(this.node));
  }

  openApiV2(): SchemaNode {
    return forOpenApiV2(this.node, this.#preserveUnknownFields);
  }

  problems(value: unknown, old?: unknown): FieldProblem[] {
    const problems = this.#allProblems(value);
    return problems.length > 0 && old !== undefined ? ofChanges(problems, value, old) : problems;
  }

  #allProblems(value: unknown): FieldProblem[] {
    const problems = valueProblems(this.node, value, rootPath);
    if (!isMapping(value)) return problems;
    const ofMetadata = metadataSchema.problems({ metadata: value['metadata'] });
    const embedded = this.#embeds ? embeddedProblems(this.node, value, rootPath) : [];
    const inLists = this.#hasListTypes ? listTypeProblems(this.node, value, rootPath) : [];
    return [...ofMetadata, ...problems, ...embedded, ...inLists];
  }

  /**
   * What x-kubernetes-validations have against the value; ask when problems() has nothing.
   * @param old what is stored, when the value is to take its place: rules that speak of oldSelf are for it
   */
  ruleProblems(value: unknown, old?: unknown): FieldProblem[] {
    return (this.#rules ??= new Rules(this.node)).problems(value, old);
  }

  unknownFields(value: unknown): string[] {
    const unknown: string[] = [];
    const inMetadata = (metadata: unknown, path: string): void => {
      for (const field of metadataSchema.unknownFields({ metadata })) unknown.push(path + field.slice('metadata'.length));
    };
    if (!this.#preserveUnknownFields) walkUnknown(this.node, value, rootPath, (path) => unknown.push(path), inMetadata);
    return unknown;
  }

  prune(value: unknown): void {
    const inMetadata = (metadata: unknown): void => metadataSchema.prune({ metadata });
    if (!this.#preserveUnknownFields) walkUnknown(this.node, value, rootPath, (_path, owner, key) => delete owner[key], inMetadata);
  }

  applyDefaults(value: unknown): void {
    dropNulls(this.node, value);
    fillDefaults(this.node, value);
  }
}
