// check-rules.ts: whether the rules of a schema can be understood, before any value is there.

import { invalidValue, notSupported, required, type FieldProblem } from '../errors.js';
import { RuleCompiler } from './cel-compile.js';
import { keyPath } from './json.js';
import { restNode, type StructuralNode, type ValidationRule } from './node.js';
import { fieldSteps } from './selectable-fields.js';

const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];

interface Found {
  node: StructuralNode;
  path: string;
  /** The part of the schema within which old and new values cannot be told to be the same. */
  uncorrelatable: string | undefined;
}

/** @param root a schema that has no other problems */
export function ruleCheckProblems(root: StructuralNode, path: string): FieldProblem[] {
  const embedded = { ...root, 'x-kubernetes-embedded-resource': true };
  const found: Found[] = [];
  findRules({ node: embedded, path, uncorrelatable: undefined }, found);
  const compiler = new RuleCompiler();
  // Types of all first: an environment that is in use takes no more of them.
  const typed = found.map((one) => ({ ...one, type: compiler.typeOf(one.node.nullable ? { ...one.node, nullable: false } : one.node) }));
  return typed.flatMap(({ node, path: at, uncorrelatable, type }) =>
    (node['x-kubernetes-validations'] ?? []).flatMap((rule, index) => {
      const rulePath = keyPath(`${at}.x-kubernetes-validations`, index);
      const written = textProblems(rule, node, rulePath);
      if (written.length > 0) return written;
      if (!type) return [invalidValue(`${rulePath}.rule`, rule, `rule declared on schema that does not support validation rules type: '${node.type ?? ''}' x-kubernetes-preserve-unknown-fields: '${node['x-kubernetes-preserve-unknown-fields'] ?? false}'`)];
      const { ruleProblem, messageProblem, usesOldSelf } = compiler.compile(rule, type);
      if (ruleProblem) return [invalidValue(`${rulePath}.rule`, rule, ruleProblem)];
      const problems: FieldProblem[] = [];
      if (messageProblem) problems.push(invalidValue(`${rulePath}.messageExpression`, rule, `messageExpression ${messageProblem.replace(/^messageExpression /, '')}`));
      if (usesOldSelf && uncorrelatable) problems.push(invalidValue(`${rulePath}.rule`, rule.rule, `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable}`));
      if (!usesOldSelf && rule.optionalOldSelf !== undefined) problems.push(invalidValue(`${rulePath}.optionalOldSelf`, rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule'));
      return problems;
    }),
  );
}

function findRules(at: Found, found: Found[]): void {
  const { node, path, uncorrelatable } = at;
  if ((node['x-kubernetes-validations'] ?? []).length > 0) found.push(at);
  const atomic = node['x-kubernetes-map-type'] === 'atomic' ? (uncorrelatable ?? path) : uncorrelatable;
  for (const [key, child] of Object.entries(node.properties ?? {})) findRules({ node: child, path: keyPath(`${path}.properties`, key), uncorrelatable: atomic }, found);
  const rest = restNode(node);
  if (rest) findRules({ node: rest, path: `${path}.additionalProperties`, uncorrelatable: atomic }, found);
  if (node.items) findRules({ node: node.items, path: `${path}.items`, uncorrelatable: node['x-kubernetes-list-type'] === 'map' ? uncorrelatable : (uncorrelatable ?? path) }, found);
}

function textProblems({ rule, message, messageExpression, reason, fieldPath }: ValidationRule, node: StructuralNode, path: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const hasLines = (text: string): boolean => /[\n\r]/.test(text);
  if (rule.trim() === '') problems.push(required(`${path}.rule`, 'rule is not specified'));
  else if (message !== undefined && message !== '' && message.trim() === '') problems.push(invalidValue(`${path}.message`, message, 'message must be non-empty if specified'));
  else if (hasLines((message ?? '').trim())) problems.push(invalidValue(`${path}.message`, message, 'message must not contain line breaks'));
  else if (hasLines(rule.trim()) && (message ?? '').trim() === '') problems.push(required(`${path}.message`, 'message must be specified if rule contains line breaks'));
  if (messageExpression && messageExpression.trim() === '') problems.push(required(`${path}.messageExpression`, 'messageExpression must be non-empty if specified'));
  if (reason !== undefined && !reasons.includes(reason)) problems.push(notSupported(`${path}.reason`, reason, reasons));
  if (!fieldPath) return problems;
  if (fieldPath.trim() === '') problems.push(invalidValue(`${path}.fieldPath`, fieldPath, 'fieldPath must be non-empty if specified'));
  else if (hasLines(fieldPath)) problems.push(invalidValue(`${path}.fieldPath`, fieldPath, 'fieldPath must not contain line breaks'));
  else if ('problem' in fieldSteps(fieldPath.trim(), node)) problems.push(invalidValue(`${path}.fieldPath`, fieldPath, 'fieldPath must be a valid path'));
  return problems;
}
