import picocolors from 'picocolors';
import type { Io, Output } from '../io.js';

export type Colors = ReturnType<typeof picocolors.createColors>;

/** Colours for a person at a terminal who has not asked for none (https://no-color.org); plain text for everyone else. */
export function colorsFor(output: Output, env: Io['env']): Colors {
  return picocolors.createColors(output.isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
}

const statusColor: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'cyan' | 'dim'>> = {
  Succeeded: 'green', Ready: 'green', Active: 'green', Running: 'cyan', Pending: 'yellow', Scheduled: 'yellow', BackOff: 'yellow',
  Terminating: 'dim', Unknown: 'red', NotReady: 'red', Warning: 'yellow', Normal: 'dim',
};

/** What a STATUS cell says, in its colour. Anything that is not known to be well is red. */
export function colorStatus(text: string, colors: Colors): string {
  const word = text.trim().split(',')[0]!;
  if (word === '') return text;
  return colors[statusColor[word] ?? 'red'](text);
}
