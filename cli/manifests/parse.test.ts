import { describe, expect, it } from '@jest/globals';
import { checkDocuments, problemLines } from './check.js';
import { nearest } from './nearest.js';
import { parseManifest } from './parse.js';

const valuesOf = (text: string): unknown[] => parseManifest('x.yaml', text).documents.map(({ value }) => value);

describe('parseManifest', () => {
  it('reads YAML 1.1 as kubectl does: yes is true, 0o octal, but times and base 60 stay text', () => {
    expect(valuesOf('a: yes\nb: 0777\nc: 2026-01-31\nd: 12:30:00\ne: !!str 1\n')).toEqual([{ a: true, b: 511, c: '2026-01-31', d: '12:30:00', e: '1' }]);
  });

  it('reads JSON, many documents, and merge keys, and skips empty documents', () => {
    expect(valuesOf('{"a": 1}')).toEqual([{ a: 1 }]);
    expect(valuesOf('---\n# nothing\n---\nbase: &b {x: 1}\nuse: {<<: *b, z: 2}\n---\n')).toEqual([{ base: { x: 1 }, use: { x: 1, z: 2 } }]);
  });

  it('knows the line of a field, and of what is around a missing one', () => {
    const [document] = parseManifest('x.yaml', 'kind: Task\nspec:\n  env:\n    - name: A\n      value: x\n  "a/b": 1\n').documents;
    expect(document!.lineOf('spec.env[0].value')).toBe(5);
    expect(document!.lineOf('spec.env[0].valueFrom.fieldRef')).toBe(4);
    expect(document!.lineOf('spec[a/b]')).toBe(6);
    expect(document!.lineOf('metadata.name')).toBe(1);
  });

  it('tells where a text is no YAML, and still reads the documents around it', () => {
    const { documents, problems } = parseManifest('x.yaml', 'a: 1\n---\nb: [1\n---\nc: 3\n');
    expect(problems[0]).toMatchObject({ source: 'x.yaml', message: expect.stringContaining('cannot be read as YAML') });
    expect(documents.length).toBeGreaterThanOrEqual(1);
  });
});

describe('checkDocuments', () => {
  it('looks into lists and gives the line inside them', () => {
    const text = 'apiVersion: v1\nkind: List\nitems:\n  - apiVersion: taskplane.dev/v1\n    kind: Task\n    metadata: {name: a}\n    spec:\n      command: x\n';
    const { problems } = checkDocuments(parseManifest('list.yaml', text).documents);
    expect(problemLines(problems)).toEqual(['list.yaml:8: spec.command: Invalid value: "x": must be a list']);
  });

  it('takes a null as absent, as the server does', () => {
    const text = 'apiVersion: taskplane.dev/v1\nkind: Task\nmetadata: {name: a, labels: null}\nspec: {command: [x], priority: null}\n';
    expect(checkDocuments(parseManifest('x.yaml', text).documents).problems).toEqual([]);
  });

  it('says that a Pod is a view of a Task', () => {
    const { problems } = checkDocuments(parseManifest('x.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n').documents);
    expect(problems[0]!.message).toContain('write a Task');
  });
});

describe('nearest', () => {
  it('finds slips of the finger and nothing far', () => {
    expect(nearest('comand', ['command', 'args'])).toBe('command');
    expect(nearest('tsaks', ['tasks', 'nodes'])).toBe('tasks');
    expect(nearest('zzz', ['tasks', 'nodes'])).toBeUndefined();
  });
});
