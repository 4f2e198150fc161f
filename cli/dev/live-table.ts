// live-table.ts: the table of tasks on a terminal, redrawn in place.
//
// One write per frame: the cursor goes up to where the last frame began, every line is written over and its rest cleared,
// and what is left of a longer frame below is cleared last. Nothing is blank in between, so nothing flickers.

import { stripVTControlCharacters } from 'node:util';
import { humanDuration } from '../../api/kind.js';
import { colorStatus, type Colors } from '../print/colors.js';
import { displayWidth } from '../print/table.js';
import type { TaskRow } from './task-rows.js';

export interface Frame {
  title: string;
  rows: readonly TaskRow[];
  hidden: number;
  footer: readonly string[];
}

const headers = ['NAME', 'STATUS', 'NODE', 'ATTEMPT', 'EXIT', 'DURATION', 'AGE', 'MESSAGE'];

/** @param now milliseconds since the epoch */
export function frameLines(frame: Frame, now: number, columns: number, colors: Colors): string[] {
  const cells = frame.rows.map((row) => [
    row.key,
    row.status,
    row.node || '<none>',
    String(row.attempt),
    row.exitCode === undefined ? '' : String(row.exitCode),
    row.startedAt === undefined ? '' : humanDuration((row.finishedAt ?? now) - row.startedAt),
    humanDuration(now - row.createdAt),
    row.message.replaceAll(/\s+/g, ' '),
  ]);
  const widths = headers.map((header, i) => Math.max(header.length, ...cells.map((line) => displayWidth(line[i]!))));
  const line = (parts: readonly string[], paint: (text: string, column: number) => string): string => {
    let used = 0;
    let text = '';
    for (const [i, part] of parts.entries()) {
      const padded = i === parts.length - 1 ? part : part + ' '.repeat(widths[i]! + 3 - displayWidth(part));
      const cut = cutTo(padded, columns - 1 - used);
      if (cut === '') break;
      used += displayWidth(cut);
      text += paint(cut, i);
    }
    return text.trimEnd();
  };
  const table = cells.length === 0 ? [colors.dim('no tasks yet')] : [line(headers, (text) => colors.dim(text)), ...cells.map((row) => line(row, (text, i) => (i === 1 ? colorStatus(text, colors) : text)))];
  const more = frame.hidden > 0 ? [colors.dim(`… and ${frame.hidden} more`)] : [];
  return [frame.title, '', ...table, ...more, '', ...frame.footer.map((text) => cutTo(text, columns - 1))];
}

function cutTo(text: string, widthMax: number): string {
  if (displayWidth(text) <= widthMax) return text;
  let cut = '';
  let width = 0;
  for (const char of text) {
    width += displayWidth(char);
    if (width > widthMax) break;
    cut += char;
  }
  return cut;
}

/** Draws frames over each other. Keeps how wide each line was, since a narrower terminal wraps what stands there already. */
export class FramePainter {
  #drawn: number[] = [];

  /** The text that replaces the last frame by this one. */
  paint(lines: readonly string[], columns: number): string {
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    const up = rows > 0 ? `\r\u001b[${rows}A` : '';
    this.#drawn = lines.map((line) => displayWidth(stripVTControlCharacters(line)));
    return `\u001b[?25l${up}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`;
  }

  /** Gives the terminal back: the last frame stays. */
  end(): string {
    this.#drawn = [];
    return '\u001b[?25h';
  }
}
