// columns.ts: the columns that a CustomResourceDefinition wants in `kubectl get`.

import { invalidValue, required, type FieldProblem } from '../errors.js';
import { JsonPathError, parseJsonPath, type JsonPath } from '../json-path.js';
import { age, ageColumn, nameColumn, type PrinterColumn } from '../kind.js';
import { isMapping } from './json.js';

const types = ['boolean', 'date', 'integer', 'number', 'string'] as const;
const formats = ['binary', 'byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];

/** As in spec.versions[].additionalPrinterColumns. */
interface ColumnDefinition {
  name: string;
  type: PrinterColumn['type'];
  format?: string;
  description?: string;
  priority?: number;
  jsonPath: string;
}

/** Why columns are refused. */
export function columnProblems(columns: unknown, path: string): FieldProblem[] {
  if (columns === undefined) return [];
  if (!Array.isArray(columns)) return [invalidValue(path, columns, 'must be a list')];
  return columns.flatMap((column, index) => oneColumn(column, `${path}[${index}]`));
}

function oneColumn(column: unknown, path: string): FieldProblem[] {
  if (!isMapping(column)) return [invalidValue(path, column, 'must be a mapping')];
  const { name, type, format, jsonPath, priority } = column;
  const problems: FieldProblem[] = [];
  if (typeof name !== 'string' || name === '') problems.push(required(`${path}.name`));
  if (typeof type !== 'string' || type === '') problems.push(required(`${path}.type`, `must be one of ${types.join(',')}`));
  else if (!(types as readonly string[]).includes(type)) problems.push(invalidValue(`${path}.type`, type, `must be one of ${types.join(',')}`));
  if (format !== undefined && format !== '' && !formats.includes(format as string)) problems.push(invalidValue(`${path}.format`, format, `must be one of ${formats.join(',')}`));
  if (priority !== undefined && !Number.isInteger(priority)) problems.push(invalidValue(`${path}.priority`, priority, 'must be an integer'));
  const problem = pathProblem(jsonPath, `${path}.jsonPath`);
  if (problem) problems.push(problem);
  return problems;
}

function pathProblem(jsonPath: unknown, path: string): FieldProblem | undefined {
  if (jsonPath === undefined || jsonPath === '') return required(path);
  if (typeof jsonPath !== 'string' || !jsonPath.startsWith('.')) return invalidValue(path, jsonPath, 'must be a simple json path starting with .');
  try {
    parseJsonPath(jsonPath);
    return undefined;
  } catch (error) {
    return invalidValue(path, jsonPath, `must be a json path: ${error instanceof JsonPathError ? error.message : String(error)}`);
  }
}

/** Name first, then the columns that are wanted; Age when none are. A column that is refused shows nothing. */
export function columnsOf(columns: unknown): PrinterColumn[] {
  const wanted = Array.isArray(columns) ? columns.filter(isColumn) : [];
  if (wanted.length === 0) return [nameColumn, { ...ageColumn, type: 'date' }];
  return [nameColumn, ...wanted.map(columnOf)];
}

function isColumn(column: unknown): column is ColumnDefinition {
  return oneColumn(column, '').length === 0;
}

function columnOf({ name, type, format, description, priority, jsonPath }: ColumnDefinition): PrinterColumn {
  const path = parseJsonPath(jsonPath);
  return {
    name,
    type,
    ...(format ? { format } : {}),
    description: description ?? `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    priority: priority ?? 0,
    cell: (object, now) => cellOf(type, path, object, now),
  };
}

/** The first value that the path finds. null: kubectl prints nothing where it is a server's cell. */
function cellOf(type: PrinterColumn['type'], path: JsonPath, object: unknown, now: number): string | number | boolean | null {
  const value = path(object)[0];
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'date':
      return typeof value !== 'string' ? null : Number.isNaN(Date.parse(value)) ? '<invalid>' : age(value, now);
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'string':
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}
