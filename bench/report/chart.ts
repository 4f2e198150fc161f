// chart.ts
//
// Pictures as text: panels of lines over two axes, as one SVG. A pure function of numbers, so the same results give the same
// file. Colours are of middle brightness, and text changes with the reader's theme.

import { gridTicks, scaleOf, type Scale } from './scale.js';

export interface Line {
  readonly name: string;
  /** Its place in the row of colours, so that the same thing has the same one in every picture. */
  readonly colour: number;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Marks each point, and how far its repeats were apart. */
  readonly marks?: readonly { readonly min: number; readonly max: number }[];
}

export interface Axis {
  readonly label: string;
  readonly kind: 'linear' | 'log';
  /** In place of those that are computed. */
  readonly ticks?: readonly { readonly at: number; readonly text: string }[];
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
  /** A dashed line across: a target. */
  readonly across?: { readonly at: number; readonly text: string };
}

const panelWidth = 440;
const panelHeight = 270;
const margin = { left: 62, right: 26, top: 46, bottom: 44 };
const plot = { width: panelWidth - margin.left - margin.right, height: panelHeight - margin.top - margin.bottom };
const columns = 2;
const colours = ['#3b82c4', '#d9822b', '#3a9d5d', '#a06cc0', '#c94f4f', '#2f9e9e'] as const;

const style = [
  'text { font: 11px ui-sans-serif, system-ui, sans-serif; fill: #57606a }',
  '.title { font-weight: 600; font-size: 13px; fill: #24292f }',
  '.grid { stroke: #8c959f; stroke-opacity: .25 }',
  '.across { stroke: #8c959f; stroke-dasharray: 5 4 }',
  '.line { fill: none; stroke-width: 1.8; stroke-linejoin: round }',
  '@media (prefers-color-scheme: dark) { text { fill: #9aa4af } .title { fill: #e6edf3 } }',
].join('\n');

/** @param panels at least one */
export function chart(panels: readonly Panel[]): string {
  const width = panelWidth * Math.min(columns, panels.length);
  const height = panelHeight * Math.ceil(panels.length / columns);
  const drawn = panels.map((panel, index) => `<g transform="translate(${(index % columns) * panelWidth} ${Math.floor(index / columns) * panelHeight})">\n${panelSvg(panel)}\n</g>`);
  const label = panels.map(({ title }) => title).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(label)}">\n<style>\n${style}\n</style>\n${drawn.join('\n')}\n</svg>\n`;
}

function panelSvg(panel: Panel): string {
  const xs = panel.lines.flatMap(({ points }) => points.map(([x]) => x));
  const ys = panel.lines.flatMap(({ points, marks = [] }) => [...points.map(([, y]) => y), ...marks.flatMap(({ min, max }) => [min, max])]);
  if (panel.across) ys.push(panel.across.at);
  const x = scaleOf(panel.x.kind, xs, plot.width, false);
  const y = scaleOf(panel.y.kind, ys, plot.height, true);
  return [
    `<text class="title" x="${margin.left}" y="16">${escaped(panel.title)}</text>`,
    legend(panel.lines),
    yGrid(panel.y, y),
    xGrid(panel.x, x),
    ...(panel.across ? [acrossSvg(panel.across, y)] : []),
    ...panel.lines.map((line) => lineSvg(line, x, y)),
  ].join('\n');
}

function legend(lines: readonly Line[]): string {
  let at = margin.left;
  const entries = lines.map(({ name, colour }) => {
    const entry = `<line x1="${at}" x2="${at + 14}" y1="29" y2="29" stroke="${colourOf(colour)}" stroke-width="3"/><text x="${at + 18}" y="33">${escaped(name)}</text>`;
    at += 40 + name.length * 7;
    return entry;
  });
  return entries.join('');
}

function yGrid(axis: Axis, scale: Scale): string {
  const lines = (axis.ticks ?? gridTicks(scale)).map(({ at, text }) => {
    const y = margin.top + plot.height - px(scale.place(at));
    return `<line class="grid" x1="${margin.left}" x2="${margin.left + plot.width}" y1="${px(y)}" y2="${px(y)}"/><text x="${margin.left - 6}" y="${px(y + 4)}" text-anchor="end">${escaped(text)}</text>`;
  });
  const middle = margin.top + plot.height / 2;
  return `${lines.join('\n')}\n<text transform="translate(13 ${middle}) rotate(-90)" text-anchor="middle">${escaped(axis.label)}</text>`;
}

function xGrid(axis: Axis, scale: Scale): string {
  const bottom = margin.top + plot.height;
  const shown = (axis.ticks ?? gridTicks(scale)).filter(({ at }) => at >= scale.min && at <= scale.max);
  const lines = shown.map(({ at, text }) => {
    const x = px(margin.left + scale.place(at));
    return `<line class="grid" x1="${x}" x2="${x}" y1="${margin.top}" y2="${bottom}"/><text x="${x}" y="${bottom + 15}" text-anchor="middle">${escaped(text)}</text>`;
  });
  return `${lines.join('\n')}\n<text x="${margin.left + plot.width / 2}" y="${bottom + 33}" text-anchor="middle">${escaped(axis.label)}</text>`;
}

function acrossSvg({ at, text }: NonNullable<Panel['across']>, scale: Scale): string {
  const y = px(margin.top + plot.height - scale.place(at));
  return `<line class="across" x1="${margin.left}" x2="${margin.left + plot.width}" y1="${y}" y2="${y}"/><text x="${margin.left + plot.width - 4}" y="${px(y - 4)}" text-anchor="end">${escaped(text)}</text>`;
}

function lineSvg({ points, marks, colour: index }: Line, x: Scale, y: Scale): string {
  const colour = colourOf(index);
  const place = ([atX, atY]: readonly [number, number]): [number, number] => [px(margin.left + x.place(atX)), px(margin.top + plot.height - y.place(atY))];
  const path = points.map(place).map(([left, top], index) => `${index === 0 ? 'M' : 'L'}${left} ${top}`).join('');
  const marked = (marks ?? []).map(({ min, max }, index) => {
    const [atX, atY] = points[index]!;
    const [left, top] = place([atX, atY]);
    const bar = min === max ? '' : `<line x1="${left}" x2="${left}" y1="${place([atX, min])[1]}" y2="${place([atX, max])[1]}" stroke="${colour}" stroke-opacity=".6"/>`;
    return `<circle cx="${left}" cy="${top}" r="3" fill="${colour}"/>${bar}`;
  });
  return `<path class="line" stroke="${colour}" d="${path}"/>${marked.join('')}`;
}

function colourOf(index: number): string {
  return colours[index % colours.length]!;
}

/** A tenth of a pixel is enough. */
function px(value: number): number {
  return Number(value.toFixed(1));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
