// cel-print.ts
//
// A rule runs on data of any size, inside the server, so it must be bounded. The library has no bound of its own, but CEL has no
// loops other than its macros, so it is enough to meter them, and what is made or compared: each rule is printed again from
// its tree, with calls to the functions of cel-meter.ts around those parts, and the print is what runs.
//
//   xs.all(x, P)        xs.all(x, tick__() && (P))      likewise exists, exists_one, filter, map with three
//   xs.map(x, T)        xs.map(x, metered__(T))
//   a + b, f(a), a.f()  metered__(a) + metered__(b), … by the length of a text, list or mapping
//   a == b, a in b      deep__(a) == deep__(b), … by everything below it
//   s.matches(p)        matches__(s, p)                 in linear time, see pattern.ts; join likewise meters what it makes
//   o.optMap(x, E)      o.hasValue() ? optional.of(cel.bind(x, o.value(), E)) : optional.none()
//
// Everything is in parentheses: precedence is the parser's affair.

import type { ASTNode } from '@marcbachmann/cel-js';

const binary = new Set(['||', '&&', '==', '!=', '<', '<=', '>', '>=', 'in', '+', '-', '*', '/', '%']);
const comprehensions = new Set(['all', 'exists', 'exists_one', 'existsOne', 'filter', 'map']);
const renamed = new Map([['matches', 'matches__'], ['join', 'join__']]);

/** @throws Error on a node that the language has not */
export function printMetered(node: ASTNode): string {
  switch (node.op) {
    case 'value':
      return printValue(node.args);
    case 'id':
      return node.args;
    case '.':
    case '.?':
      return `${print(node.args[0])}${node.op}${node.args[1]}`;
    case '[]':
      return `${print(node.args[0])}[${printMetered(node.args[1])}]`;
    case '[?]':
      return `${print(node.args[0])}[?${printMetered(node.args[1])}]`;
    case 'call':
      return printCall(node.args[0], node.args[1]);
    case 'rcall':
      return printMethod(node.args[0], node.args[1], node.args[2]);
    case 'list':
      return `[${node.args.map(printMetered).join(', ')}]`;
    case 'map':
      return `{${node.args.map(([key, value]) => `${printMetered(key)}: ${printMetered(value)}`).join(', ')}}`;
    case '?:':
      return `(${print(node.args[0])} ? ${print(node.args[1])} : ${print(node.args[2])})`;
    case '!_':
      return `!${print(node.args)}`;
    case '-_':
      return `-${print(node.args)}`;
    default:
      return printBinary(node.op, node.args);
  }
}

/** As the operand of something. */
function print(node: ASTNode): string {
  const text = printMetered(node);
  return node.op === 'id' || node.op === '.' || node.op === 'call' || node.op === 'rcall' ? text : `(${text})`;
}

function printBinary(op: string, args: unknown): string {
  if (!binary.has(op)) throw new Error(`unknown operation ${op}`);
  const [left, right] = args as [ASTNode, ASTNode];
  if (op === '==' || op === '!=' || op === 'in') return `${within('deep__', left)} ${op} ${within('deep__', right)}`;
  if (op === '||' || op === '&&') return `${print(left)} ${op} ${print(right)}`;
  return `${within('metered__', left)} ${op} ${within('metered__', right)}`;
}

/** Literals cost nothing but their place in the rule; an int or bool neither. */
function within(meter: string, node: ASTNode): string {
  return node.op === 'value' ? print(node) : `${meter}(${printMetered(node)})`;
}

function printCall(name: string, args: readonly ASTNode[]): string {
  if (name === 'has') return `has(${args.map(printPlain).join(', ')})`;
  return `${renamed.get(name) ?? name}(${args.map((arg) => within('metered__', arg)).join(', ')})`;
}

/** The argument of has() is a chain of fields, and stays one. */
function printPlain(node: ASTNode): string {
  return node.op === '.' || node.op === '.?' ? `${printPlain(node.args[0])}${node.op}${node.args[1]}` : printMetered(node);
}

function printMethod(name: string, receiver: ASTNode, args: readonly ASTNode[]): string {
  const [first, second, third] = args;
  if (comprehensions.has(name) && first?.op === 'id' && second) {
    const macro = name === 'existsOne' ? 'exists_one' : name;
    const start = `${within('metered__', receiver)}.${macro}(${first.args}, `;
    if (name === 'map' && !third) return `${start}metered__(${printMetered(second)}))`;
    return `${start}tick__() && (${printMetered(second)})${third ? `, ${printMetered(third)}` : ''})`;
  }
  if (name === 'bind' && receiver.op === 'id' && receiver.args === 'cel' && first?.op === 'id' && second && third) {
    return `cel.bind(${first.args}, ${printMetered(second)}, ${printMetered(third)})`;
  }
  if ((name === 'optMap' || name === 'optFlatMap') && first?.op === 'id' && second) {
    const optional = print(receiver);
    const bound = `cel.bind(${first.args}, ${optional}.value(), ${printMetered(second)})`;
    return `(${optional}.hasValue() ? ${name === 'optMap' ? `optional.of(${bound})` : bound} : optional.none())`;
  }
  const isNamespace = receiver.op === 'id' && (receiver.args === 'optional' || receiver.args === 'sets' || receiver.args === 'strings' || receiver.args === 'math');
  const target = isNamespace ? print(receiver) : within('metered__', receiver);
  const others = args.map((arg) => within('metered__', arg));
  // What the arguments of these are evaluated for is decided by the receiver.
  if (name === 'or' || name === 'orValue') return `${print(receiver)}.${name}(${args.map(printMetered).join(', ')})`;
  const other = renamed.get(name);
  return other ? `${other}(${[target, ...others].join(', ')})` : `${target}.${name}(${others.join(', ')})`;
}

function printValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return printDouble(value);
  if (value instanceof Uint8Array) return `b"${[...value].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`;
  if (typeof value === 'object' && value !== null) return `${String(value)}u`;
  return String(value);
}

function printDouble(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** Whether the tree speaks of the variable. */
export function mentions(node: unknown, variable: string): boolean {
  if (Array.isArray(node)) return node.some((part) => mentions(part, variable));
  if (typeof node !== 'object' || node === null || !('op' in node)) return false;
  const { op, args } = node as ASTNode;
  return op === 'id' ? args === variable : mentions(args, variable);
}

/** Whether the tree calls a method that only its print has. */
export function usesOptionalMacro(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(usesOptionalMacro);
  if (typeof node !== 'object' || node === null || !('op' in node)) return false;
  const { op, args } = node as ASTNode;
  return (op === 'rcall' && ['optMap', 'optFlatMap', 'existsOne'].includes(args[0])) || usesOptionalMacro(args);
}
