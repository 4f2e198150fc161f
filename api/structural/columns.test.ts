import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../meta.js';
import { columnProblems, columnsOf } from './columns.js';
import { scaleOf, scaleProblems, withReplicas } from './scale.js';
import { selectableFieldsOf, selectableProblems } from './selectable-fields.js';
import { cronTab } from './testing.js';

const object: KubeObject = {
  apiVersion: 'example.com/v1',
  kind: 'CronTab',
  metadata: { name: 'a', namespace: 'n', uid: 'u', resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { replicas: 3, color: 'red', ratio: 0.5, on: true, list: ['x', 'y'], part: 2.9 },
  status: { replicas: 2, selector: 'app=x', since: '2026-01-01T00:00:00Z', odd: 'yesterday' },
};
const now = Date.parse('2026-01-01T00:05:00Z');
const cells = (...columns: unknown[]): unknown[] => columnsOf(columns).map((column) => column.cell(object, now));
const column = (type: string, jsonPath: string): unknown => ({ name: 'C', type, jsonPath });

describe('columnsOf', () => {
  it('shows Name, and Age when nothing is wanted', () => {
    expect(columnsOf(undefined).map(({ name, type }) => [name, type])).toEqual([['Name', 'string'], ['Age', 'date']]);
    expect(cells(column('integer', '.spec.replicas'))).toEqual(['a', 3]);
  });

  it.each<[string, string, unknown]>([
    ['string', '.spec.color', 'red'],
    ['string', '.spec.replicas', '3'],
    ['string', '.spec.list', '["x","y"]'],
    ['string', '.spec.list[*]', 'x'],
    ['string', '.spec.nope', null],
    ['integer', '.spec.part', 2],
    ['integer', '.spec.color', null],
    ['number', '.spec.ratio', 0.5],
    ['boolean', '.spec.on', true],
    ['date', '.metadata.creationTimestamp', '5m'],
    ['date', '.status.odd', '<invalid>'],
    ['date', '.status.nope', null],
  ])('shows a %s of %s', (type, path, expected) => {
    expect(cells(column(type, path))[1]).toEqual(expected);
  });

  it('carries priority, format and description', () => {
    const [, one] = columnsOf([{ name: 'Replicas', type: 'integer', format: 'int32', description: 'How many.', priority: 1, jsonPath: '.spec.replicas' }]);
    expect(one).toMatchObject({ name: 'Replicas', type: 'integer', format: 'int32', description: 'How many.', priority: 1 });
  });

  it('is told why columns are refused', () => {
    const problems = columnProblems([{ name: '', type: 'text', jsonPath: 'spec' }, { name: 'A', type: 'string' }, { name: 'B', type: 'date', format: 'x', jsonPath: '.a[' }], 'c');
    expect(problems.map(({ field, message }) => `${field}: ${message}`)).toEqual([
      'c[0].name: Required value',
      'c[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
      'c[0].jsonPath: Invalid value: "spec": must be a simple json path starting with .',
      'c[1].jsonPath: Required value',
      'c[2].format: Invalid value: "x": must be one of binary,byte,date,date-time,double,float,int32,int64,password',
      'c[2].jsonPath: Invalid value: ".a[": must be a json path: expected a number, a quoted name, * or ?( at 4 of ".a["',
    ]);
    expect(columnProblems(undefined, 'c')).toEqual([]);
  });
});

describe('the scale of an object', () => {
  const paths = { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas', labelSelectorPath: '.status.selector' };

  it('is read by its paths', () => {
    expect(scaleOf(object, paths)).toEqual({
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name: 'a', namespace: 'n', uid: 'u', resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { replicas: 3 },
      status: { replicas: 2, selector: 'app=x' },
    });
    expect(scaleOf({ ...object, spec: undefined, status: 'none' }, paths)).toMatchObject({ spec: {}, status: { replicas: 0 } });
  });

  it('is written in a copy', () => {
    const scaled = withReplicas({ ...object, spec: undefined }, { specReplicasPath: '.spec.size.replicas' }, 5);
    expect(scaled.spec).toEqual({ size: { replicas: 5 } });
    expect(withReplicas(object, paths, 5).spec).toMatchObject({ replicas: 5, color: 'red' });
    expect(object.spec).toMatchObject({ replicas: 3 });
  });

  it('needs paths below spec and status', () => {
    expect(scaleProblems(paths, 's')).toEqual([]);
    expect(scaleProblems({ specReplicasPath: '.status.replicas', labelSelectorPath: 'x' }, 's').map(({ field, message }) => `${field}: ${message}`)).toEqual([
      's.specReplicasPath: Invalid value: ".status.replicas": should be a json path under .spec',
      's.statusReplicasPath: Required value',
      's.labelSelectorPath: Invalid value: "x": must be a simple json path starting with .',
    ]);
  });
});

describe('selectable fields', () => {
  it('are read as texts', () => {
    const fields = selectableFieldsOf([{ jsonPath: '.spec.color' }, { jsonPath: '.spec.replicas' }, { jsonPath: '.spec.on' }, { jsonPath: '.spec.nope' }]);
    expect(Object.fromEntries(Object.entries(fields).map(([name, read]) => [name, read(object)]))).toEqual({ 'spec.color': 'red', 'spec.replicas': '3', 'spec.on': 'true', 'spec.nope': '' });
  });

  it('are fields of the schema that hold a text, a number or a truth', () => {
    const problems = selectableProblems([{ jsonPath: '.spec.color' }, { jsonPath: '.spec.nope' }, { jsonPath: '.spec.labels' }, { jsonPath: '.spec.color' }, {}, { jsonPath: ".spec['color']" }], cronTab, 'f');
    expect(problems.map(({ field, message }) => `${field}: ${message}`)).toEqual([
      'f[1].jsonPath: Invalid value: ".spec.nope": is an invalid path: does not refer to a valid field',
      'f[2].jsonPath: Invalid value: ".spec.labels": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
      'f[3].jsonPath: Duplicate value: ".spec.color"',
      'f[4].jsonPath: Required value',
      'f[5].jsonPath: Invalid value: ".spec[\'color\']": is an invalid path: array notation is not allowed',
    ]);
  });
});
