import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { messageOf } from './cel-compile.js';
import { celEnvironment } from './cel-library.js';
import { metered } from './cel-meter.js';
import { printMetered } from './cel-print.js';
import { StructuralSchema } from './structural-schema.js';
import { checkStructural } from './check.js';

interface Grammar {
  int: string;
  text: string;
  truth: string;
  list: string;
}

const { truth } = fc.letrec<Grammar>((tie: fc.LetrecTypedTie<Grammar>): fc.LetrecValue<Grammar> => {
  const binary = (a: keyof Grammar, operators: readonly string[], b = a): fc.Arbitrary<string> => fc.tuple(tie(a), fc.constantFrom(...operators), tie(b)).map(([left, operator, right]) => `(${left} ${operator} ${right})`);
  const either = (of: keyof Grammar): fc.Arbitrary<string> => fc.tuple(tie('truth'), tie(of), tie(of)).map(([when, yes, no]) => `(${when} ? ${yes} : ${no})`);
  return {
    int: fc.oneof({ maxDepth: 3, depthIdentifier: 'cel' }, fc.constantFrom('0', '1', '7', 'n', 'm[0]'), binary('int', ['+', '-', '*', '/', '%']), tie('int').map((of) => `-(${of})`), tie('list').map((of) => `${of}.size()`), tie('text').map((of) => `size(${of})`), either('int')),
    text: fc.oneof({ maxDepth: 3, depthIdentifier: 'cel' }, fc.constantFrom('"a"', "'q\"\\n'", 's', 'o.name', '""'), binary('text', ['+']), tie('text').map((of) => `${of}.replace("a", "bc")`), tie('list').map((of) => `${of}.map(e, string(e)).join(",")`), either('text')),
    truth: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'cel' },
      fc.constantFrom('true', 'false', 'has(o.name)', 'has(o.nope)'),
      binary('int', ['<', '<=', '>', '>=', '==', '!=']),
      binary('text', ['==', '!=', '<']),
      binary('truth', ['&&', '||', '==']),
      binary('list', ['==', '!=']),
      fc.tuple(tie('int'), tie('list')).map(([left, right]) => `(${left} in ${right})`),
      tie('truth').map((of) => `!(${of})`),
      tie('text').map((of) => `${of}.matches("^a*$")`),
      fc.tuple(tie('list'), fc.constantFrom('all', 'exists', 'exists_one'), tie('truth')).map(([of, macro, predicate]) => `${of}.${macro}(e, e > 1 || ${predicate})`),
      fc.tuple(tie('int'), tie('truth')).map(([value, of]) => `cel.bind(b, ${value}, b > 0 && ${of})`),
    ),
    list: fc.oneof({ maxDepth: 3, depthIdentifier: 'cel' }, fc.constantFrom('m', '[1, 2]', '[0]'), binary('list', ['+']), fc.tuple(tie('list'), tie('int')).map(([of, each]) => `${of}.map(e, e + ${each})`), fc.tuple(tie('list'), tie('truth')).map(([of, predicate]) => `${of}.filter(e, ${predicate})`), either('list')),
  };
});

const environment = celEnvironment().clone().registerVariable('n', 'int').registerVariable('s', 'string').registerVariable('m', 'list<int>').registerVariable('o', 'map<string, string>');
const variables = { n: 5n, s: 'aab', m: [3n, 1n], o: new Map([['name', 'x']]) };

function outcome(text: string): unknown {
  const { result, error } = metered(1_000_000, () => environment.parse(text)(variables) as unknown);
  return error === undefined ? result : messageOf(error).replaceAll(/dyn<(\w+)>/g, '$1');
}

describe('a rule with its meters', () => {
  it('means what it meant', () => {
    // matches and join are other functions in the print, but mean the same.
    fc.assert(
      fc.property(truth, (text) => {
        expect(outcome(printMetered(environment.parse(text).ast))).toEqual(outcome(text));
      }),
      { numRuns: 1_500 },
    );
  });

  it('is refused or run, whatever its text', () => {
    const word = fc.constantFrom('self', 'oldSelf', '.', 'a', 'l', '(', ')', '[', ']', '{', '}', '+', '-', '==', '&&', '||', '!', '?', ':', '"x"', '1', '1.5', '2u', 'null', 'true', 'in', 'all', 'map', 'filter', 'e', ',', 'has', 'size', 'type', 'duration', 'b"x"', '.?', 'optional', 'none', 'matches', 'metered__', 'tick__', 'cel.bind', '%');
    const rule = fc.oneof(fc.array(word, { maxLength: 14 }).map((words) => words.join(' ')), fc.array(word, { maxLength: 8 }).map((words) => `self.l.all(e, ${words.join('')})`), fc.string());
    fc.assert(
      fc.property(rule, fc.boolean(), (text, optionalOldSelf) => {
        const schema = { type: 'object', properties: { spec: { type: 'object', properties: { a: { type: 'integer' }, l: { type: 'array', items: { type: 'string' } } }, 'x-kubernetes-validations': [{ rule: text, messageExpression: text, optionalOldSelf }] } } };
        void checkStructural(schema, 'p');
        const object = { spec: { a: 1, l: ['x', ''] } };
        void new StructuralSchema(schema).ruleProblems(object, object);
      }),
      { numRuns: 1_500 },
    );
  });
});
