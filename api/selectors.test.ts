import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from './errors.js';
import { fixedField, matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from './selectors.js';

const labels = { app: 'web', tier: 'front', 'example.com/x': '' };

describe('label selectors', () => {
  it.each([
    ['', true], ['app=web', true], ['app==web', true], ['app = web', true], ['app=db', false], ['app!=db', true], ['app!=web', false], ['none!=x', true],
    ['app', true], ['none', false], ['!none', true], ['!app', false], ['app in (web,db)', true], ['app in (db, web)', true], ['app in (db)', false],
    ['app notin (db)', true], ['app notin (web)', false], ['none notin (web)', true], ['app=web,tier=front', true], ['app in (web,x),tier!=back,!none', true],
    ['app=web,tier=back', false], ['example.com/x=', true], ['example.com/x', true],
  ])('%j on the labels is %s', (text, expected) => {
    expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected);
  });

  it.each(['app=a b', 'a,,b', '=x', 'app in web', 'app in (', ',', 'a b', '-x=1', 'x=-', 'a/b/c=1'])('%j is refused as a bad request', (text) => {
    expect(() => parseLabelSelector(text)).toThrow(ApiError);
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

  it('refuses a part without an operator', () => {
    expect(() => parseFieldSelector('metadata.name')).toThrow('unable to parse the field selector "metadata.name"');
  });

  it('fixedField finds only what equality fixes', () => {
    const requirements = parseFieldSelector('status.nodeName=n1,status.phase!=Failed');
    expect(fixedField(requirements, 'status.nodeName')).toBe('n1');
    expect(fixedField(requirements, 'status.phase')).toBeUndefined();
  });
});
