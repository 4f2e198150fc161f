import { describe, expect, it } from '@jest/globals';
import { stripVTControlCharacters } from 'node:util';
import picocolors from 'picocolors';
import type { Table } from '../server-table.js';
import { describeText } from './description.js';
import { columnsText, displayWidth, TablePrinter } from './table.js';

const table: Table = {
  kind: 'Table',
  columnDefinitions: [
    { name: 'Name', format: 'name', priority: 0 },
    { name: 'Status', priority: 0 },
    { name: 'Exit', priority: 0 },
    { name: 'Message', priority: 1 },
  ],
  rows: [
    { cells: ['hello', 'Succeeded', '0', ''], object: { metadata: { name: 'hello', namespace: 'default', labels: { app: 'x', tier: 'web' } } } },
    { cells: ['a-long-name', 'Failed', '3', 'two\nlines \u001b[31m'], object: { metadata: { name: 'a-long-name', namespace: 'default' } } },
  ],
};

describe('TablePrinter', () => {
  it('prints columns as kubectl does', () => {
    expect(new TablePrinter().render(table)).toBe(['NAME          STATUS      EXIT', 'hello         Succeeded   0', 'a-long-name   Failed      3', ''].join('\n'));
  });

  it('adds namespaces, wide columns and labels, one line per row whatever a cell holds', () => {
    expect(new TablePrinter({ wide: true, withNamespace: true, showLabels: true, noHeaders: true, namePrefix: 'task/' }).render(table)).toBe(
      ['default   task/hello         Succeeded   0                    app=x,tier=web', 'default   task/a-long-name   Failed      3   two lines [31m   <none>', ''].join('\n'),
    );
  });

  it('keeps its columns while rows are added, and prints the header once', () => {
    const printer = new TablePrinter();
    printer.render(table);
    expect(printer.render({ ...table, columnDefinitions: [], rows: [{ cells: ['b', 'Pending', '', ''] }] })).toBe('b             Pending\n');
  });

  it('colours only the status, and only that changes', () => {
    const coloured = new TablePrinter({ colors: picocolors.createColors(true) }).render(table);
    expect(coloured).not.toBe(stripVTControlCharacters(coloured));
    expect(stripVTControlCharacters(coloured).split('\n').map((line) => line.trimEnd()).join('\n')).toBe(new TablePrinter().render(table));
  });
});

describe('displayWidth', () => {
  it('counts wide characters twice and combining marks not at all', () => {
    expect([displayWidth('abc'), displayWidth('日本'), displayWidth('e\u0301')]).toEqual([3, 4, 1]);
  });
});

describe('columnsText and describeText', () => {
  it('line up', () => {
    expect(columnsText([['A', 'BB'], ['CCC', 'D']])).toBe('A     BB\nCCC   D\n');
    expect(describeText([['Name', 'x'], ['Labels', ['a=1', 'b=2']], ['None', undefined], ['Spec', { fields: [['Script', 'one\ntwo']] }], ['Events', { table: [] }]])).toBe(
      ['Name:    x', 'Labels:  a=1', '         b=2', 'Spec:', '  Script:  one', '           two', 'Events: <none>', ''].join('\n'),
    );
  });
});
