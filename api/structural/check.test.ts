import { describe, expect, it } from '@jest/globals';
import { checkStructural } from './check.js';
import { certificate, cronTab, route } from './testing.js';

const at = 'spec.versions[0].schema.openAPIV3Schema';
const check = (schema: unknown): string[] => checkStructural(schema, at).map(({ field, message }) => `${field.replace(at, '$')}: ${message}`);
const inField = (field: unknown): unknown => ({ type: 'object', properties: { f: field } });
const text = { type: 'string' };

describe('checkStructural', () => {
  it.each(Object.entries({ cronTab, certificate, route, anything: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }))('takes the schema of %s', (_, schema) => {
    expect(check(schema)).toEqual([]);
  });

  it.each<[string, unknown, string[]]>([
    ['no schema', undefined, ['$: Required value: schemas are required']],
    ['a list', [], ['$: Invalid value: []: must be a schema: a mapping']],
    ['an empty one', {}, ['$.type: Required value: must not be empty at the root']],
    ['a root that is no object', { type: 'array', items: text }, ['$.type: Invalid value: "array": must be object at the root']],
    ['keywords of other types', { type: 7, properties: { a: { maxLength: 'x', required: [1] } } }, [
      '$.type: Invalid value: 7: must be a string',
      '$.properties[a].maxLength: Invalid value: "x": must be an integer of 0 or more',
      '$.properties[a].required: Invalid value: [1]: must be a list of strings',
    ]],
    ['a field without a type', inField({}), ['$.properties[f].type: Required value: must not be empty for specified object fields']],
    ['items without a type', inField({ type: 'array', items: {} }), ['$.properties[f].items.type: Required value: must not be empty for specified array items']],
    ['a list without items', inField({ type: 'array' }), ['$.properties[f].items: Required value: must be specified']],
    ['an unknown type', inField({ type: 'date' }), ['$.properties[f].type: Unsupported value: "date": supported values: "array", "boolean", "integer", "number", "object", "string"']],
    ['type null', inField({ type: 'null' }), ['$.properties[f].type: Forbidden: type cannot be set to null, use nullable as an alternative']],
    ['references and definitions', inField({ type: 'object', $ref: '#/a', definitions: { a: {} }, patternProperties: {}, deprecated: true }), [
      '$.properties[f].$ref: Forbidden: $ref is not supported',
      '$.properties[f].definitions: Forbidden: definitions is not supported',
      '$.properties[f].patternProperties: Forbidden: patternProperties is not supported',
      '$.properties[f].deprecated: Forbidden: deprecated is not supported',
    ]],
    ['unique items', inField({ type: 'array', items: text, uniqueItems: true }), ['$.properties[f].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic']],
    ['fields beside any keys', inField({ type: 'object', properties: { a: text }, additionalProperties: text }), ['$.properties[f].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive']],
    ['any keys at the root', { type: 'object', additionalProperties: text }, ['$.additionalProperties: Forbidden: must not be used at the root']],
    ['a nullable root', { type: 'object', nullable: true }, ['$.nullable: Forbidden: nullable cannot be true at the root']],
    ['items as a list', inField({ type: 'array', items: [text] }), ['$.properties[f].items: Forbidden: items must be a schema object and not an array']],
    ['types and defaults in choices', inField({ ...text, anyOf: [{ type: 'string', default: 'a' }], not: { nullable: true } }), [
      '$.properties[f].anyOf[0].default: Forbidden: must be undefined to be structural',
      '$.properties[f].anyOf[0].type: Forbidden: must be empty to be structural',
      '$.properties[f].not.nullable: Forbidden: must be false to be structural',
    ]],
    ['a choice of unknown fields at the root', { type: 'object', properties: { a: text }, anyOf: [{ properties: { b: { pattern: 'x' } } }] }, ['$.properties[b]: Required value: because it is defined in $.anyOf[0].properties[b]'.replaceAll('in $', `in ${at}`)]],
    ['metadata in a choice', { type: 'object', oneOf: [{ properties: { metadata: {} } }] }, [
      '$.oneOf[0].properties[metadata]: Forbidden: must not be specified in a nested context',
      `$.properties[metadata]: Required value: because it is defined in ${at}.oneOf[0].properties[metadata]`,
    ]],
    ['a bad pattern', inField({ ...text, pattern: '(?=a)' }), ["$.properties[f].pattern: Invalid value: \"(?=a)\": must be a valid regular expression, but isn't: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"]],
    ['a pattern that counts far', inField({ ...text, pattern: '([a-z]{1000})'.repeat(11) }), ["$.properties[f].pattern: Invalid value: \"" + '([a-z]{1000})'.repeat(11) + "\": must be a valid regular expression, but isn't: it compiles to 11024 instructions, more than 10000: count to less in {…}"]],
    ['labels in metadata', { type: 'object', properties: { metadata: { type: 'object', properties: { labels: { type: 'object', additionalProperties: text } } } } }, [
      '$.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified',
    ]],
    ['a kind that is no string', { type: 'object', properties: { kind: { type: 'integer' } } }, ['$.properties[kind].type: Invalid value: "integer": must be string']],
    ['int-or-string that keeps unknown fields', inField({ 'x-kubernetes-int-or-string': true, 'x-kubernetes-preserve-unknown-fields': true }), [
      '$.properties[f].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true',
    ]],
    ['preserve-unknown-fields: false', inField({ type: 'object', 'x-kubernetes-preserve-unknown-fields': false }), ['$.properties[f].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined']],
    ['an embedded object of nothing', inField({ type: 'object', 'x-kubernetes-embedded-resource': true }), [
      '$.properties[f].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
    ]],
    ['an embedded text', inField({ type: 'string', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true }), ['$.properties[f].type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true']],
    ['a list type on a text', inField({ ...text, 'x-kubernetes-list-type': 'atomic' }), ['$.properties[f].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified']],
    ['an unknown list type', inField({ type: 'array', items: text, 'x-kubernetes-list-type': 'bag' }), ['$.properties[f].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"']],
    ['a map list without keys', inField({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' }), ['$.properties[f].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map']],
    ['a key that is no field', inField({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['a'] }), ['$.properties[f].x-kubernetes-list-map-keys: Invalid value: ["a"]: entries must all be names of item properties']],
    ['a key that may be absent', inField({ type: 'array', items: { type: 'object', properties: { a: text } }, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['a'] }), [
      '$.properties[f].items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
    ]],
    ['a set of mappings', inField({ type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'set' }), ['$.properties[f].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set']],
    ['a set that may hold null', inField({ type: 'array', items: { ...text, nullable: true }, 'x-kubernetes-list-type': 'set' }), ['$.properties[f].items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set']],
    ['a default of another type', inField({ type: 'integer', default: 'x' }), ['$.properties[f].default: Invalid value: "string": $.properties[f].default in body must be of type integer: "string"'.replaceAll(': $.', `: ${at}.`)]],
    ['a default out of range', inField({ type: 'integer', maximum: 3, default: 4 }), [`$.properties[f].default: Invalid value: 4: ${at}.properties[f].default in body should be less than or equal to 3`]],
    ['a default with unknown fields', inField({ type: 'object', properties: { a: text }, default: { b: 1 } }), ['$.properties[f].default: Invalid value: {"b":1}: must not have unknown fields']],
    ['a default for the kind', { type: 'object', properties: { kind: { ...text, default: 'X' } } }, ['$.properties[kind].default: Forbidden: must not be set in top-level kind']],
  ])('refuses %s', (_, schema, expected) => {
    expect(check(schema)).toEqual(expected);
  });

  const rules = (...list: unknown[]): unknown => ({ type: 'object', properties: { spec: { type: 'object', properties: { a: { type: 'integer' }, list: { type: 'array', items: { type: 'integer' } } }, 'x-kubernetes-validations': list } } });
  const rulePath = '$.properties[spec].x-kubernetes-validations[0]';
  it.each<[string, unknown, string]>([
    ['that is empty', { rule: ' ' }, `${rulePath}.rule: Required value: rule is not specified`],
    ['that does not parse', { rule: 'self.a >' }, `${rulePath}.rule: Invalid value: {"rule":"self.a >"}: compilation failed: Unexpected token: EOF`],
    ['of an unknown field', { rule: 'self.b > 1' }, `${rulePath}.rule: Invalid value: {"rule":"self.b > 1"}: compilation failed: No such key: b`],
    ['of mismatched types', { rule: 'self.a == "x"' }, `${rulePath}.rule: Invalid value: {"rule":"self.a == \\"x\\""}: compilation failed: no such overload: int == string`],
    ['that is no verdict', { rule: 'self.a + 1' }, `${rulePath}.rule: Invalid value: {"rule":"self.a + 1"}: cel expression must evaluate to a bool`],
    ['with a message of two lines', { rule: 'true', message: 'a\nb' }, `${rulePath}.message: Invalid value: "a\\nb": message must not contain line breaks`],
    ['of two lines without a message', { rule: 'true &&\ntrue' }, `${rulePath}.message: Required value: message must be specified if rule contains line breaks`],
    ['with an unknown reason', { rule: 'true', reason: 'Bad' }, `${rulePath}.reason: Unsupported value: "Bad": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"`],
    ['with a field that is none', { rule: 'true', fieldPath: '.b' }, `${rulePath}.fieldPath: Invalid value: ".b": fieldPath must be a valid path`],
    ['with a message that is no text', { rule: 'self.a > 1', messageExpression: 'self.a' }, `${rulePath}.messageExpression: Invalid value: {"rule":"self.a > 1","messageExpression":"self.a"}: messageExpression must evaluate to a string`],
    ['with an optional old value that it does not use', { rule: 'self.a > 1', optionalOldSelf: true }, `${rulePath}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule`],
  ])('refuses a rule %s', (_, rule, expected) => {
    expect(check(rules(rule))).toEqual([expected]);
  });

  it('refuses transition rules where old and new cannot be told to be the same', () => {
    const grows = { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self >= oldSelf' }] };
    expect(check(inField({ type: 'array', items: grows }))).toEqual([
      `$.properties[f].items.x-kubernetes-validations[0].rule: Invalid value: "self >= oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within ${at}.properties[f]`,
    ]);
    expect(check(inField({ type: 'object', additionalProperties: grows }))).toEqual([]);
  });

  it('tells every problem at once', () => {
    expect(check({ type: 'object', properties: { a: {}, b: { type: 'array' }, c: { type: 'string', pattern: '[' } } }).length).toBe(3);
  });
});
