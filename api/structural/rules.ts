// rules.ts
//
// x-kubernetes-validations on values. A rule is looked at wherever its schema has a value that is not null. One that speaks of
// oldSelf is looked at where there was such a value before: fields and keys are followed by name, items of lists of type map
// by their keys, all other items not at all. What has not changed is not held against a change, as in Kubernetes since 1.30.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules

import { Optional } from '@marcbachmann/cel-js';
import { duplicate, forbiddenField, invalidValue, problemsShownMax, required, type FieldProblem } from '../errors.js';
import { messageOf, RuleCompiler, type CompiledRule, type Variables } from './cel-compile.js';
import { costOfObjectMax, costOfRuleMax, metered } from './cel-meter.js';
import type { CelType } from './cel-types.js';
import { canonical, childPath, isMapping, keyPath, rootPath } from './json.js';
import { mapListKey } from './list-types.js';
import { restNode, type StructuralNode, type ValidationRule } from './node.js';
import { fieldSteps } from './selectable-fields.js';

/** The rules at a node and below it. */
interface RuleTree {
  node: StructuralNode;
  type: CelType | undefined;
  compiled: CompiledRule[];
  items?: RuleTree;
  rest?: RuleTree;
  properties: Map<string, RuleTree>;
}

interface Visit {
  problems: FieldProblem[];
  /** Units that may still be spent; negative when the rest was left out. */
  left: number;
}

export class Rules {
  readonly #tree: RuleTree | undefined;

  constructor(root: StructuralNode) {
    const compiler = new RuleCompiler();
    this.#tree = treeOf(root, compiler);
    if (this.#tree) compile(this.#tree, compiler);
  }

  /** @param old what is stored, if anything */
  problems(value: unknown, old?: unknown): FieldProblem[] {
    const visit: Visit = { problems: [], left: costOfObjectMax };
    if (this.#tree) look(this.#tree, value, old, rootPath, visit);
    return visit.problems;
  }
}

/** Types of all nodes with rules are made here, before any rule is compiled. */
function treeOf(node: StructuralNode, compiler: RuleCompiler): RuleTree | undefined {
  const items = node.items && treeOf(node.items, compiler);
  const restSchema = restNode(node);
  const rest = restSchema && treeOf(restSchema, compiler);
  const properties = new Map<string, RuleTree>();
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const tree = treeOf(child, compiler);
    if (tree) properties.set(key, tree);
  }
  const hasRules = (node['x-kubernetes-validations'] ?? []).length > 0;
  if (!hasRules && !items && !rest && properties.size === 0) return undefined;
  // A value that may be null is not looked at when it is: in its rules it has its own type.
  const type = hasRules ? compiler.typeOf(node.nullable ? { ...node, nullable: false } : node) : undefined;
  return { node, type, compiled: [], ...(items ? { items } : {}), ...(rest ? { rest } : {}), properties };
}

function compile(tree: RuleTree, compiler: RuleCompiler): void {
  const { type, node } = tree;
  const rules = node['x-kubernetes-validations'] ?? [];
  if (type) tree.compiled = rules.filter(({ rule }) => rule.trim() !== '').map((rule) => compiler.compile(rule, type));
  for (const child of [tree.items, tree.rest, ...tree.properties.values()]) if (child) compile(child, compiler);
}

function look(tree: RuleTree, value: unknown, old: unknown, path: string, visit: Visit): void {
  if (value === null || value === undefined || visit.left < 0 || visit.problems.length > problemsShownMax) return;
  if (tree.compiled.length > 0) lookAtRules(tree, value, old, path, visit);
  if (Array.isArray(value)) {
    if (!tree.items) return;
    const before = oldItems(tree.node, old);
    value.forEach((item, index) => look(tree.items!, item, before?.get(canonical(mapListKey(tree.node, item))), keyPath(path, index), visit));
  } else if (isMapping(value)) {
    const before = isMapping(old) && tree.node['x-kubernetes-map-type'] !== 'atomic' ? old : {};
    for (const key of Object.keys(value)) {
      const child = tree.properties.get(key);
      const was = Object.hasOwn(before, key) ? before[key] : undefined;
      if (child) look(child, value[key], was, childPath(path, key), visit);
      else if (tree.rest) look(tree.rest, value[key], was, keyPath(path, key), visit);
    }
  }
}

/** The items of what was a list of type map, by their keys. */
function oldItems(node: StructuralNode, old: unknown): Map<string, unknown> | undefined {
  if (node['x-kubernetes-list-type'] !== 'map' || !Array.isArray(old)) return undefined;
  return new Map(old.map((item) => [canonical(mapListKey(node, item)), item]));
}

function lookAtRules({ node, type, compiled }: RuleTree, value: unknown, old: unknown, path: string, visit: Visit): void {
  const hasOld = old !== undefined && old !== null;
  const self = type!.convert(value);
  const oldSelf = hasOld && compiled.some((rule) => rule.usesOldSelf) ? type!.convert(old) : undefined;
  let unchanged: boolean | undefined;
  for (const rule of compiled) {
    const optional = rule.rule.optionalOldSelf ?? false;
    if (visit.left < 0 || (rule.usesOldSelf && !hasOld && !optional)) continue;
    const variables: Variables = { self, ...(rule.usesOldSelf ? { oldSelf: optional ? (hasOld ? Optional.of(oldSelf) : Optional.none()) : oldSelf } : {}) };
    const problem = oneRule(rule, node, variables, path, visit);
    if (!problem) continue;
    unchanged ??= hasOld && canonical(value) === canonical(old);
    if (rule.usesOldSelf || !unchanged) visit.problems.push(problem);
  }
}

function oneRule(compiled: CompiledRule, node: StructuralNode, variables: Variables, path: string, visit: Visit): FieldProblem | undefined {
  const { rule, evaluate } = compiled;
  const type = node.type ?? '';
  if (!evaluate) return invalidValue(path, type, `rule compile error: ${compiled.ruleProblem ?? ''}`);
  const { cost, result, error } = metered(Math.min(costOfRuleMax, visit.left), () => evaluate(variables));
  const left = visit.left;
  visit.left -= cost;
  if (visit.left < 0) return invalidValue(path, type, 'validation failed due to running out of cost budget, no further validation rules will be run');
  if (cost > Math.min(costOfRuleMax, left)) {
    visit.left = -1;
    return invalidValue(path, type, `'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: ${nameOf(rule)}`);
  }
  if (error !== undefined) return invalidValue(path, type, runTimeText(error, rule));
  if (result === true) return undefined;
  return asReason(pathOf(path, rule, node), type, messageFor(compiled, variables, visit), rule.reason);
}

function runTimeText(error: unknown, rule: ValidationRule): string {
  const text = messageOf(error).replace(/^No such key: index out of bounds, index (-?\d+).*$/, 'index out of bounds: $1').replace(/^No such key/, 'no such key');
  if (/^(no such overload|found no matching overload|invalid.*overload)/.test(text)) {
    return `'${text}': call arguments did not match a supported operator, function or macro signature for rule: ${nameOf(rule)}`;
  }
  return `${text} evaluating rule: ${nameOf(rule)}`;
}

/** How messages name a rule: by its message, else by itself. */
function nameOf({ rule, message }: ValidationRule): string {
  return (message || rule).trim();
}

const messageLengthMax = 5 * 1024;

function messageFor(compiled: CompiledRule, variables: Variables, visit: Visit): string {
  const { rule, message } = compiled;
  if (message) {
    const { cost, result } = metered(Math.max(0, Math.min(costOfRuleMax, visit.left)), () => message(variables));
    visit.left -= cost;
    const text = typeof result === 'string' ? result.trim() : '';
    if (text !== '' && text.length <= messageLengthMax && !text.includes('\n')) return text;
  }
  return rule.message ? rule.message.trim() : `failed rule: ${nameOf(rule)}`;
}

function pathOf(path: string, rule: ValidationRule, node: StructuralNode): string {
  const found = rule.fieldPath?.trim() ? fieldSteps(rule.fieldPath.trim(), node) : undefined;
  if (!found || 'problem' in found) return path;
  return found.steps.reduce((at, { name, isKey }) => (isKey ? keyPath(at, name) : childPath(at, name)), path);
}

function asReason(path: string, type: string, text: string, reason: string | undefined): FieldProblem {
  switch (reason) {
    case 'FieldValueForbidden':
      return forbiddenField(path, text);
    case 'FieldValueRequired':
      return required(path, text);
    case 'FieldValueDuplicate':
      return duplicate(path, type);
    default:
      return invalidValue(path, type, text);
  }
}
