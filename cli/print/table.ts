// table.ts: rows in columns, as kubectl prints them: upper-case headers, three spaces between columns, no trailing blanks.

import type { Table, TableColumn, TableRow } from '../server-table.js';
import { colorStatus, type Colors } from './colors.js';

export interface TableStyle {
  wide?: boolean;
  noHeaders?: boolean;
  /** Puts a NAMESPACE column first. */
  withNamespace?: boolean;
  /** Puts a LABELS column last. */
  showLabels?: boolean;
  /** Goes before each name: `task.taskplane.dev/`. */
  namePrefix?: string;
  /** Columns of values of these labels. */
  labelColumns?: readonly string[];
  colors?: Colors;
}

const gap = 3;

/**
 * Prints tables that arrive one after another as one: the header goes first, once, and columns keep their width as rows
 * are added, growing when they must.
 */
export class TablePrinter {
  #columns: readonly TableColumn[] = [];
  #widths: number[] = [];
  #headerDone: boolean;

  constructor(private readonly style: TableStyle = {}) {
    this.#headerDone = style.noHeaders ?? false;
  }

  /** The text of the table's rows, with the header when it is the first. */
  render(table: Table, lead: readonly string[] = []): string {
    if (table.columnDefinitions.length > 0) this.#columns = table.columnDefinitions;
    const lines: string[][] = [];
    if (!this.#headerDone) lines.push(this.#header());
    this.#headerDone = true;
    for (const row of table.rows) lines.push([...lead, ...this.#cells(row)]);
    for (const line of lines) line.forEach((cell, i) => (this.#widths[i] = Math.max(this.#widths[i] ?? 0, displayWidth(cell))));
    const statusAt = this.#statusColumn() + lead.length;
    return lines.map((line, index) => this.#line(line, index === 0 && lines.length > table.rows.length ? -1 : statusAt)).join('');
  }

  #line(cells: readonly string[], statusAt: number): string {
    const parts = cells.map((cell, i) => {
      const padded = i === cells.length - 1 ? cell : cell + ' '.repeat(this.#widths[i]! + gap - displayWidth(cell));
      return i === statusAt && this.style.colors ? colorStatus(padded, this.style.colors) : padded;
    });
    return `${parts.join('').trimEnd()}\n`;
  }

  #shown(): { column: TableColumn; index: number }[] {
    return this.#columns.map((column, index) => ({ column, index })).filter(({ column }) => this.style.wide || (column.priority ?? 0) === 0);
  }

  #statusColumn(): number {
    const at = this.#shown().findIndex(({ column }) => column.name === 'Status' || column.name === 'Type');
    return at < 0 ? Number.NEGATIVE_INFINITY : at + (this.style.withNamespace ? 1 : 0);
  }

  #header(): string[] {
    const names = this.#shown().map(({ column }) => column.name.toUpperCase());
    const labels = (this.style.labelColumns ?? []).map((key) => key.slice(key.lastIndexOf('/') + 1).toUpperCase());
    return [...(this.style.withNamespace ? ['NAMESPACE'] : []), ...names, ...labels, ...(this.style.showLabels ? ['LABELS'] : [])];
  }

  #cells(row: TableRow): string[] {
    const metadata = row.object?.metadata;
    const cells = this.#shown().map(({ column, index }) => {
      const text = oneLine(row.cells[index]);
      return column.format === 'name' && this.style.namePrefix ? this.style.namePrefix + text : text;
    });
    const labels = metadata?.labels ?? {};
    const shownLabels = Object.keys(labels).sort().map((key) => `${key}=${labels[key]}`).join(',');
    return [
      ...(this.style.withNamespace ? [metadata?.namespace ?? ''] : []),
      ...cells,
      ...(this.style.labelColumns ?? []).map((key) => labels[key] ?? ''),
      ...(this.style.showLabels ? [shownLabels || '<none>'] : []),
    ];
  }
}

/** Columns of plain text, for tables that no server made. */
export function columnsText(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, displayWidth(cell))));
  return rows.map((row) => `${indent}${row.map((cell, i) => (i === row.length - 1 ? cell : cell + ' '.repeat(widths[i]! + gap - displayWidth(cell)))).join('').trimEnd()}\n`).join('');
}

/** A cell never breaks the line it is on, nor sends anything to the terminal but characters. */
function oneLine(value: unknown): string {
  const text = value === null || value === undefined ? '' : String(value);
  return text.replaceAll(/\s*\n\s*/g, ' ').replaceAll(/\p{Cc}/gu, '');
}

/** Columns that the text takes on a terminal: wide characters of East Asian scripts and emoji take two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) {
    if (/\p{Mn}/u.test(char)) continue;
    width += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(char) ? 2 : 1;
  }
  return width;
}
