import { describe, expect, it } from '@jest/globals';
import { StructuralSchema } from './structural-schema.js';

interface Case {
  rule: string;
  /** The schema of spec, beside the rule. */
  spec?: Record<string, unknown>;
  value: Record<string, unknown>;
  old?: Record<string, unknown>;
  /** What is said; none when the rule holds. */
  says?: string;
}

const text = { type: 'string' };
const int = { type: 'integer' };
const fields = {
  name: text,
  replicas: int,
  minReplicas: int,
  maxReplicas: int,
  ratio: { type: 'number' },
  enabled: { type: 'boolean' },
  port: { 'x-kubernetes-int-or-string': true },
  tags: { type: 'array', items: text },
  counts: { type: 'array', items: int },
  labels: { type: 'object', additionalProperties: text },
  items: { type: 'array', items: { type: 'object', properties: { name: text, size: int } } },
  nested: { type: 'object', properties: { a: int, b: text } },
  maybe: { type: 'string', nullable: true },
  due: { type: 'string', format: 'date-time' },
  wait: { type: 'string', format: 'duration' },
  data: { type: 'string', format: 'byte' },
  namespace: text,
  'x-prop': text,
  open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
};

function problemsOf({ rule, spec = {}, value, old }: Case): string[] {
  const schema = new StructuralSchema({
    type: 'object',
    properties: { spec: { type: 'object', properties: fields, 'x-kubernetes-validations': [{ rule }], ...spec } },
  });
  const object = (part: unknown): unknown => ({ apiVersion: 'example.com/v1', kind: 'Thing', metadata: { name: 'a' }, spec: part });
  return schema.ruleProblems(object(value), old && object(old)).map(({ field, message }) => `${field}: ${message}`);
}

const failed = (rule: string): string => `spec: Invalid value: "object": failed rule: ${rule}`;

describe('rules of a schema', () => {
  const holds: Case[] = [
    { rule: 'self.minReplicas <= self.replicas && self.replicas <= self.maxReplicas', value: { minReplicas: 1, replicas: 2, maxReplicas: 3 } },
    { rule: 'self.replicas > 1 ? self.ratio < 1 : true', value: { replicas: 2, ratio: 0.5 } },
    { rule: 'self.replicas / 2 == 1', value: { replicas: 3 } },
    { rule: 'self.ratio == 3.0', value: { ratio: 3 } },
    { rule: 'self.ratio / 2.0 == 1.5', value: { ratio: 3 } },
    { rule: 'double(self.replicas) / 2.0 == 1.5', value: { replicas: 3 } },
    { rule: 'type(self.port) == int ? self.port < 65536 : self.port.startsWith("http")', value: { port: 80 } },
    { rule: 'type(self.port) == int ? self.port < 65536 : self.port.startsWith("http")', value: { port: 'https' } },
    { rule: 'has(self.name) == false', value: {} },
    { rule: '!has(self.nested) || self.nested.a > 0', value: {} },
    { rule: 'self.tags.all(t, t.matches("^[a-z]+$"))', value: { tags: ['a', 'bc'] } },
    { rule: 'self.tags.exists_one(t, t == "a")', value: { tags: ['a', 'b'] } },
    { rule: 'self.items.map(i, i.size).sum() == 3', value: { items: [{ size: 1 }, { size: 2 }] } },
    { rule: 'self.items.filter(i, has(i.name)).size() == 1', value: { items: [{ size: 1 }, { name: 'x' }] } },
    { rule: 'self.items.all(x, self.items.exists_one(y, x.name == y.name))', value: { items: [{ name: 'a' }, { name: 'b' }] } },
    { rule: 'self.counts.isSorted() && self.counts.min() == 1 && self.counts.max() == 5 && self.counts.indexOf(5) == 2', value: { counts: [1, 3, 5] } },
    { rule: '"app" in self.labels && self.labels["app"] == "x" && self.labels.all(k, k.size() < 5)', value: { labels: { app: 'x' } } },
    { rule: 'self.labels.app == "x"', value: { labels: { app: 'x' } } },
    { rule: 'self.name.startsWith("a") && self.name.endsWith("c") && self.name.contains("b") && self.name.size() == 3', value: { name: 'abc' } },
    { rule: 'self.name.split(",").join("-") == "a-b" && self.name.replace(",", ".") == "a.b" && self.name.lowerAscii() == "a,b"', value: { name: 'a,b' } },
    { rule: '"%s has %d".format([self.name, self.replicas]) == "x has 3"', value: { name: 'x', replicas: 3 } },
    { rule: 'self.name.find("[0-9]+") == "12" && self.name.findAll("[0-9]") == ["1", "2"]', value: { name: 'a12' } },
    { rule: 'self.name in ["a", "b"]', value: { name: 'a' } },
    { rule: 'self.maybe == null', value: { maybe: null } },
    { rule: 'self.due > timestamp("2020-01-01T00:00:00Z") && self.due.getFullYear() == 2026', value: { due: '2026-01-31T12:00:00Z' } },
    { rule: 'self.wait > duration("30m") && self.wait == duration("1h")', value: { wait: '1h' } },
    { rule: 'string(self.data) == "hi"', value: { data: 'aGk=' } },
    { rule: 'self.__namespace__ == "n" && self.x__dash__prop == "p"', value: { namespace: 'n', 'x-prop': 'p' } },
    { rule: 'quantity(self.name).isGreaterThan(quantity("1Gi")) && isQuantity("500m") && quantity("1500m").compareTo(quantity("1.5")) == 0', value: { name: '2Gi' } },
    { rule: 'isURL(self.name) && url(self.name).getHost() == "x.org:8080" && url(self.name).getPort() == "8080"', value: { name: 'https://x.org:8080/a?b=c' } },
    { rule: 'isIP(self.name) && cidr("10.0.0.0/8").containsIP(ip(self.name)) && ip(self.name).family() == 4', value: { name: '10.1.2.3' } },
    { rule: 'self.?nested.?b.orValue("none") == "none"', value: { nested: {} } },
    { rule: 'self.?name.optMap(n, n.size() > 1).orValue(false)', value: { name: 'ab' } },
    { rule: 'cel.bind(total, self.replicas * 2, total > 3 && total < 5)', value: { replicas: 2 } },
    { rule: '1 - (2 - 3) == 2 && self.replicas - (self.replicas - 1) == 1', value: { replicas: 2 } },
    { rule: '1.5e21 > 2.0 && self.name == "q\\"\\n\\u00e9"', value: { name: 'q"\né' } },
    { rule: 'has(self.open)', value: { open: { any: [1] } } },
    { rule: 'self.enabled || self.replicas > 5', value: { enabled: true } },
  ];

  it.each(holds)('holds: $rule of $value', (given) => {
    expect(problemsOf(given)).toEqual([]);
  });

  const fails: Case[] = [
    { rule: 'self.minReplicas <= self.replicas', value: { minReplicas: 3, replicas: 2 }, says: failed('self.minReplicas <= self.replicas') },
    { rule: 'self.ratio < 1', value: { ratio: 1.5 }, says: failed('self.ratio < 1') },
    { rule: 'self.name > "x"', value: {}, says: 'spec: Invalid value: "object": no such key: name evaluating rule: self.name > "x"' },
    { rule: 'self.counts[3] == 1', value: { counts: [1] }, says: 'spec: Invalid value: "object": index out of bounds: 3 evaluating rule: self.counts[3] == 1' },
    { rule: '1 / self.replicas == 1', value: { replicas: 0 }, says: 'spec: Invalid value: "object": division by zero evaluating rule: 1 / self.replicas == 1' },
    {
      rule: 'self.port < 5',
      value: { port: 'http' },
      says: `spec: Invalid value: "object": 'no such overload: dyn<string> < int': call arguments did not match a supported operator, function or macro signature for rule: self.port < 5`,
    },
    { rule: 'self.name.matches(self.__namespace__)', value: { name: 'a', namespace: '(' }, says: 'spec: Invalid value: "object": invalid regular expression: ( evaluating rule: self.name.matches(self.__namespace__)' },
    { rule: 'self.nope == 1', value: {}, says: 'spec: Invalid value: "object": rule compile error: compilation failed: No such key: nope' },
  ];

  it.each(fails)('fails: $rule of $value', (given) => {
    expect(problemsOf(given)).toEqual([given.says]);
  });

  it('looks at transition rules only where there was a value before', () => {
    const rule = 'self.replicas >= oldSelf.replicas';
    expect(problemsOf({ rule, value: { replicas: 1 } })).toEqual([]);
    expect(problemsOf({ rule, value: { replicas: 1 }, old: { replicas: 2 } })).toEqual([failed(rule)]);
    expect(problemsOf({ rule: 'self == oldSelf', value: { nested: { a: 1 }, tags: ['x'] }, old: { nested: { a: 1 }, tags: ['x'] } })).toEqual([]);
    expect(problemsOf({ rule: 'self == oldSelf', value: { nested: { a: 2 } }, old: { nested: { a: 1 } } })).toEqual([failed('self == oldSelf')]);
  });

  it('gives an optional oldSelf on creation too', () => {
    const spec = { 'x-kubernetes-validations': [{ rule: 'oldSelf.hasValue() ? oldSelf.value().name == self.name : self.name.startsWith("new")', optionalOldSelf: true, message: 'name is fixed' }] };
    expect(problemsOf({ rule: '', spec, value: { name: 'new-a' } })).toEqual([]);
    expect(problemsOf({ rule: '', spec, value: { name: 'a' } })).toEqual(['spec: Invalid value: "object": name is fixed']);
    expect(problemsOf({ rule: '', spec, value: { name: 'b' }, old: { name: 'a' } })).toEqual(['spec: Invalid value: "object": name is fixed']);
    expect(problemsOf({ rule: '', spec, value: { name: 'a' }, old: { name: 'a' } })).toEqual([]);
  });

  it('does not hold what has not changed against a change', () => {
    expect(problemsOf({ rule: 'self.replicas < 3', value: { replicas: 5 }, old: { replicas: 5 } })).toEqual([]);
    expect(problemsOf({ rule: 'self.replicas < 3', value: { replicas: 6 }, old: { replicas: 5 } })).toEqual([failed('self.replicas < 3')]);
  });

  it('follows fields, keys of mappings and of map lists to their old values, and no other items', () => {
    const grows = { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'must not shrink' }] };
    const item = { type: 'object', properties: { name: text, size: grows } };
    const schema = new StructuralSchema({
      type: 'object',
      properties: {
        size: grows,
        sizes: { type: 'object', additionalProperties: grows },
        byName: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], items: item },
        inOrder: { type: 'array', items: item },
        atomic: { type: 'object', 'x-kubernetes-map-type': 'atomic', properties: { size: grows } },
      },
    });
    const old = { size: 2, sizes: { a: 2, b: 2 }, byName: [{ name: 'a', size: 2 }, { name: 'b', size: 2 }], inOrder: [{ size: 2 }], atomic: { size: 2 } };
    const value = { size: 1, sizes: { a: 1, c: 1 }, byName: [{ name: 'c', size: 1 }, { name: 'b', size: 1 }], inOrder: [{ size: 1 }], atomic: { size: 1 } };
    expect(schema.ruleProblems(value, old).map(({ field, message }) => `${field}: ${message}`)).toEqual([
      'size: Invalid value: "integer": must not shrink',
      'sizes[a]: Invalid value: "integer": must not shrink',
      'byName[1].size: Invalid value: "integer": must not shrink',
    ]);
  });

  it('says what the rule wants said, where it wants it', () => {
    const say = (rule: Record<string, unknown>): string[] => problemsOf({ rule: '', spec: { 'x-kubernetes-validations': [{ rule: 'self.replicas < 3', ...rule }] }, value: { replicas: 5, name: 'x' } });
    expect(say({ message: ' too many ' })).toEqual(['spec: Invalid value: "object": too many']);
    expect(say({ messageExpression: '"%d is over 3 in %s".format([self.replicas, self.name])', message: 'no' })).toEqual(['spec: Invalid value: "object": 5 is over 3 in x']);
    expect(say({ messageExpression: 'self.tags[0]', message: 'fallback' })).toEqual(['spec: Invalid value: "object": fallback']);
    expect(say({ fieldPath: '.replicas', reason: 'FieldValueForbidden', message: 'm' })).toEqual(['spec.replicas: Forbidden: m']);
    expect(say({ fieldPath: ".labels['a.b']", reason: 'FieldValueRequired', message: 'm' })).toEqual(['spec.labels[a.b]: Required value: m']);
    expect(say({ reason: 'FieldValueDuplicate' })).toEqual(['spec: Duplicate value: "object"']);
  });

  it('sees apiVersion, kind, and the name at the root', () => {
    const schema = new StructuralSchema({ type: 'object', 'x-kubernetes-validations': [{ rule: 'self.metadata.name.size() < 3 && self.kind == "Thing"' }], properties: {} });
    expect(schema.ruleProblems({ apiVersion: 'a/v1', kind: 'Thing', metadata: { name: 'ab', labels: { a: 'b' } } })).toEqual([]);
    expect(schema.ruleProblems({ apiVersion: 'a/v1', kind: 'Thing', metadata: { name: 'abc' } })).toMatchObject([{ field: '<nil>' }]);
  });

  it('stops rules that take too long, whatever they do', () => {
    const list = Array.from({ length: 3_000 }, (_, index) => index);
    const budget = /cost limit exceeded|cost budget/;
    for (const rule of [
      'self.counts.all(a, self.counts.all(b, self.counts.all(c, a + b + c >= 0)))',
      'self.counts.exists(a, self.counts.exists(b, a + b < 0))',
      'self.counts.all(a, self.name.matches("(a|b)*c") || a >= 0)',
      'self.counts.map(a, self.counts.map(b, self.name + self.name)).size() > 0',
      'self.counts.map(a, self.name).join(",").size() > 0',
      'self.counts.all(a, self.name.contains("zz") || a >= 0)',
      `${Array.from({ length: 25 }, (_, i) => `cel.bind(s${i}, ${i === 0 ? 'self.name' : `s${i - 1} + s${i - 1}`}, `).join('')}s24.size() > 0${')'.repeat(25)}`,
      `${Array.from({ length: 24 }, (_, i) => `cel.bind(s${i}, ${i === 0 ? '[1]' : `[s${i - 1}, s${i - 1}]`}, `).join('')}s23 == s23 + []${')'.repeat(24)}`,
    ]) {
      expect(problemsOf({ rule, value: { counts: list, name: 'a'.repeat(100_000) } }).join()).toMatch(budget);
    }
  });
});
