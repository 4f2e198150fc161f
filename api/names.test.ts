import { describe, expect, it } from '@jest/globals';
import { configKeyProblem, environmentNameProblem, labelProblem, labelsProblems, labelValueProblem, qualifiedNameProblem, subdomainProblem } from './names.js';

const good = (problem: (text: string) => string | undefined, texts: string[]) => texts.forEach((text) => expect([text, problem(text)]).toEqual([text, undefined]));
const bad = (problem: (text: string) => string | undefined, texts: string[]) => texts.forEach((text) => expect([text, typeof problem(text)]).toEqual([text, 'string']));

describe('names', () => {
  it('subdomainProblem knows DNS-1123 subdomains', () => {
    good(subdomainProblem, ['a', 'a-b.c1', '1', 'x'.repeat(253)]);
    bad(subdomainProblem, ['', 'A', '-a', 'a-', 'a..b', 'a_b', 'x'.repeat(254), 'ä']);
  });

  it('labelProblem knows DNS-1123 labels', () => {
    good(labelProblem, ['a', 'team-1']);
    bad(labelProblem, ['a.b', 'x'.repeat(64), '']);
  });

  it('qualifiedNameProblem knows label keys', () => {
    good(qualifiedNameProblem, ['app', 'example.com/App_1.x']);
    bad(qualifiedNameProblem, ['', '/x', 'a/', 'a/b/c', 'A.com/x', '-x', 'x'.repeat(64)]);
  });

  it('labelValueProblem knows label values', () => {
    good(labelValueProblem, ['', 'a', 'A_b.c-1']);
    bad(labelValueProblem, ['-', 'a b', 'x'.repeat(64)]);
  });

  it('environmentNameProblem and configKeyProblem know their alphabets', () => {
    good(environmentNameProblem, ['PATH', '_x', 'a.b-c']);
    bad(environmentNameProblem, ['', '1A', 'A B', 'A=B']);
    good(configKeyProblem, ['a', 'a.b_C-1']);
    bad(configKeyProblem, ['', '.', '..', '..a', 'a/b', 'x'.repeat(254)]);
  });

  it('labelsProblems names the field of each problem', () => {
    expect(labelsProblems({ ok: 'v', '-k': 'v', k: '-' }, 'metadata.labels').map((problem) => problem.field)).toEqual(['metadata.labels', 'metadata.labels[k]']);
  });
});
