// cel-compile.ts: from the text of a rule to what can be run on values, or why it cannot.

import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { celEnvironment } from './cel-library.js';
import { mentions, printMetered, usesOptionalMacro } from './cel-print.js';
import { CelTypes, type CelType } from './cel-types.js';
import type { StructuralNode, ValidationRule } from './node.js';

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Whether it compares with what is stored. */
  readonly usesOldSelf: boolean;
  readonly evaluate?: (variables: Variables) => unknown;
  readonly message?: (variables: Variables) => unknown;
  /** Why `rule`, or its messageExpression, is refused. */
  readonly ruleProblem?: string;
  readonly messageProblem?: string;
}

export interface Variables {
  self: unknown;
  oldSelf?: unknown;
}

/** Longer ones are nobody's: the longest in public definitions have some two thousand characters. */
const textLengthMax = 10_000;

/** Compiles the rules of one schema. Types are told first, since an environment that is in use takes no more. */
export class RuleCompiler {
  readonly #types = new CelTypes();
  #environment: Environment | undefined;

  /** The type of `self` in rules of the node; undefined when it can have none. Call it for all nodes, then compile. */
  typeOf(node: StructuralNode): CelType | undefined {
    return this.#types.typeOf(node);
  }

  compile(rule: ValidationRule, type: CelType): CompiledRule {
    const environment = this.#environmentOf(type, rule.optionalOldSelf ?? false);
    const compiled = compileText(environment, rule.rule, 'bool');
    if ('problem' in compiled) return { rule, usesOldSelf: false, ruleProblem: compiled.problem };
    const usesOldSelf = mentions(compiled.ast, 'oldSelf');
    const base = { rule, usesOldSelf, evaluate: compiled.run };
    if (!rule.messageExpression?.trim()) return base;
    const message = compileText(environment, rule.messageExpression, 'string');
    return 'problem' in message ? { ...base, messageProblem: message.problem } : { ...base, message: message.run };
  }

  #environmentOf(type: CelType, optionalOldSelf: boolean): Environment {
    if (!this.#environment) {
      this.#environment = celEnvironment().clone();
      this.#types.registerIn(this.#environment);
    }
    const environment = this.#environment.clone();
    environment.registerVariable('self', type.name);
    environment.registerVariable('oldSelf', optionalOldSelf ? `optional<${type.name}>` : type.name);
    return environment;
  }
}

type Compiled = { run: (variables: Variables) => unknown; ast: ParseResult['ast'] } | { problem: string };

function compileText(environment: Environment, text: string, wanted: 'bool' | 'string'): Compiled {
  if (text.length > textLengthMax) return { problem: `must be at most ${textLengthMax} characters` };
  try {
    const asWritten = environment.parse(text);
    const { ast } = asWritten;
    const print = printMetered(ast);
    if (!usesOptionalMacro(ast)) {
      const problem = problemOf(asWritten, wanted);
      if (problem) return { problem };
    }
    // What runs is the print: see cel-print.ts.
    const metered = environment.parse(print);
    const problem = problemOf(metered, wanted);
    return problem ? { problem } : { run: (variables) => metered({ ...variables }), ast };
  } catch (error) {
    return { problem: `compilation failed: ${messageOf(error)}` };
  }
}

function problemOf(parsed: ParseResult, wanted: 'bool' | 'string'): string | undefined {
  const { valid, type, error } = parsed.check();
  if (!valid) return `compilation failed: ${messageOf(error)}`;
  if (type === wanted || type === 'dyn' || type?.startsWith('dyn<')) return undefined;
  return wanted === 'bool' ? 'cel expression must evaluate to a bool' : 'messageExpression must evaluate to a string';
}

/** The library shows the place below the text; one line is enough in a Status, and the place is in the rule. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const summary = (error as { summary?: unknown }).summary;
  return (typeof summary === 'string' ? summary : error.message).split('\n')[0]!;
}
