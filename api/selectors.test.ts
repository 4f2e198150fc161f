import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from './errors.js';
import { fixedField, matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector, type FieldRequirement, type LabelRequirement } from './selectors.js';

const labels = { app: 'web', tier: 'front', count: '5', 'example.com/x': '' };

describe('label selectors', () => {
  it.each([
    ['', true], ['app=web', true], ['app==web', true], ['app = web', true], ['app=db', false], ['app!=db', true], ['app!=web', false], ['none!=x', true],
    ['app', true], ['none', false], ['!none', true], ['!app', false], ['app in (web,db)', true], ['app in (db, web)', true], ['app in (db)', false],
    ['app notin (db)', true], ['app notin (web)', false], ['none notin (web)', true], ['app=web,tier=front', true], ['app in (web,x),tier!=back,!none', true],
    ['count>4', true], ['count > 5', false], ['count<6', true], ['count<-1', false], ['app>1', false], ['none<1', false],
    ['app=web,tier=back', false], ['example.com/x=', true], ['example.com/x', true],
  ])('%j on the labels is %s', (text, expected) => {
    expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected);
  });

  it.each(['app=a b', 'a,,b', '=x', 'app in web', 'app in (', ',', 'a b', '-x=1', 'x=-', 'a/b/c=1', 'a>b', 'a>', 'a<1.5'])('%j is refused as a bad request', (text) => {
    expect(() => parseLabelSelector(text)).toThrow(ApiError);
  });

  it('are read back as they are written', () => {
    const word = fc.stringMatching(/^[a-z0-9]([a-zA-Z0-9._-]{0,10}[a-z0-9])?$/);
    const key = fc.oneof(word, fc.tuple(fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8})?$/), word).map((parts) => parts.join('/')));
    const requirement = fc.oneof(
      fc.record({ key, operator: fc.constantFrom('In' as const, 'NotIn' as const), values: fc.array(fc.oneof(word, fc.constant('')), { minLength: 1, maxLength: 3 }) }),
      fc.record({ key, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const), values: fc.constant([]) }),
      fc.record({ key, operator: fc.constantFrom('Gt' as const, 'Lt' as const), values: fc.tuple(fc.integer().map(String)) }),
    );
    fc.assert(fc.property(fc.array(requirement, { maxLength: 4 }), (requirements) => expect(parseLabelSelector(formatLabelSelector(requirements))).toEqual(requirements)));
  });

  it('inherited properties are no labels', () => {
    expect(matchesLabels(parseLabelSelector('constructor'), labels)).toBe(false);
  });

  it('never fails other than by ApiError', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '=', '!', ',', '(', ')', ' ', 'in', 'notin', '/', '.', '-') }), (text) => {
        try {
          matchesLabels(parseLabelSelector(text), labels);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
    );
  });
});

describe('field selectors', () => {
  const valueOf = (field: string): string => ({ 'metadata.name': 'a', 'status.phase': 'Running' })[field] ?? '';

  it.each([
    ['', true], ['metadata.name=a', true], ['metadata.name==a', true], ['metadata.name!=a', false], ['metadata.name=a,status.phase!=Failed', true],
    ['missing=', true], ['missing!=', false],
  ])('%j on the fields is %s', (text, expected) => {
    expect(matchesFields(parseFieldSelector(text), valueOf)).toBe(expected);
  });

  it('reads escaped commas and equal signs', () => {
    expect(parseFieldSelector('a=x\\,y\\=z')).toEqual([{ field: 'a', equal: true, value: 'x,y=z' }]);
  });

  it('reads a value that ends in an escaped backslash', () => {
    expect(parseFieldSelector('a=x\\\\,b=y')).toEqual([{ field: 'a', equal: true, value: 'x\\' }, { field: 'b', equal: true, value: 'y' }]);
  });

  it('are read back as they are written', () => {
    const requirement = fc.record({ field: fc.stringMatching(/^[a-z]{1,8}(\.[a-zA-Z]{1,8})?$/), equal: fc.boolean(), value: fc.string({ unit: 'grapheme' }) });
    fc.assert(fc.property(fc.array(requirement, { maxLength: 4 }), (requirements) => expect(parseFieldSelector(formatFieldSelector(requirements))).toEqual(requirements)));
  });

  it.each(['a=b=c', 'a=\\x', 'a=\\', '=b', '!a'])('refuses %j', (text) => {
    expect(() => parseFieldSelector(text)).toThrow(ApiError);
  });

  it('refuses a part without an operator', () => {
    expect(() => parseFieldSelector('metadata.name')).toThrow('unable to parse the field selector "metadata.name"');
  });

  it('fixedField finds only what equality fixes', () => {
    const requirements = parseFieldSelector('status.nodeName=n1,status.phase!=Failed');
    expect(fixedField(requirements, 'status.nodeName')).toBe('n1');
    expect(fixedField(requirements, 'status.phase')).toBeUndefined();
  });
});

/** The text that parseLabelSelector reads as these requirements. */
function formatLabelSelector(requirements: readonly LabelRequirement[]): string {
  return requirements
    .map(({ key, operator, values }) => {
      switch (operator) {
        case 'In':
        case 'NotIn':
          return `${key} ${operator.toLowerCase()} (${values.join(',')})`;
        case 'Exists':
          return key;
        case 'DoesNotExist':
          return `!${key}`;
        case 'Gt':
        case 'Lt':
          return `${key}${operator === 'Gt' ? '>' : '<'}${values[0] ?? ''}`;
      }
    })
    .join(',');
}

/** The text that parseFieldSelector reads as these requirements. */
function formatFieldSelector(requirements: readonly FieldRequirement[]): string {
  return requirements.map(({ field, equal, value }) => `${field}${equal ? '=' : '!='}${value.replaceAll(/[\\,=]/g, '\\$&')}`).join(',');
}
