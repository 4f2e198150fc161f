// description.ts: labelled lines under labelled lines, as `kubectl describe` prints them.

import type { Condition } from '../../api/meta.js';
import { columnsText, displayWidth } from './table.js';

export type Field = readonly [label: string, value: string | number | undefined | readonly string[] | Description];

/** A block of fields, or a table. */
export type Description = { fields: readonly Field[] } | { table: readonly (readonly string[])[] };

/** Fields without a value are left out; the values of one block stand in one column. */
export function describeText(fields: readonly Field[], indent = ''): string {
  const present = fields.filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0));
  const width = Math.max(0, ...present.filter(([, value]) => !isBlock(value)).map(([label]) => displayWidth(label) + 1)) + 2;
  return present.map(([label, value]) => {
    if (isBlock(value)) {
      const inner = 'table' in value ? columnsText(value.table, `${indent}  `) : describeText(value.fields, `${indent}  `);
      return `${indent}${label}:${inner === '' ? ' <none>\n' : `\n${inner}`}`;
    }
    const lines = (Array.isArray(value) ? (value as string[]) : [String(value)]).flatMap((text) => text.split('\n'));
    const head = `${label}:`.padEnd(width);
    return lines.map((line, i) => `${indent}${i === 0 ? head : ' '.repeat(width)}${line}`.trimEnd() + '\n').join('');
  }).join('');
}

function isBlock(value: Field[1]): value is Description {
  return typeof value === 'object' && !Array.isArray(value);
}

/** `key=value` lines of a mapping; `<none>` when there are none. */
export function mapLines(map: Readonly<Record<string, unknown>> | undefined, separator = '='): string[] {
  const lines = Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}${separator}${String(value)}`);
  return lines.length > 0 ? lines : ['<none>'];
}

export function conditionFields(conditions: readonly Condition[] | undefined): Field[] {
  if (!conditions?.length) return [];
  const rows = conditions.map((condition) => [condition.type, condition.status, condition.reason ?? '', condition.lastTransitionTime ?? '', condition.message ?? '']);
  return [['Conditions', { table: [['Type', 'Status', 'Reason', 'Since', 'Message'], ...rows] }]];
}
