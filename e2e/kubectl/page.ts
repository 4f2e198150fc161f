// page.ts: docs/kubectl.md from the outcomes of a run of the suite.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AreaOutcome, CheckOutcome } from './outcome.js';

/** In the order of the page. */
export const areaTitles = ['Reading', 'Writing', 'Operating', 'Custom resources', 'Bad input'] as const;

const head = `# kubectl

Stock kubectl works against Taskplane: no plugin, no flag, no patch. This table is made from a run of \`e2e/kubectl/\`, which drives every form below
through every kubectl that the machine has and looks at output and exit code (\`npm test -- e2e/kubectl\`, then \`npm run docs\`); \`npm test\` alone
takes the oldest, the newest and one in between for each area.

- *kubectl* says which versions have the form and did it.
- *How it differs* says where the outcome is not what a cluster of containers gives. Where it is empty, it is the same.
- \`logs\`, \`exec\`, \`attach\`, \`cp\`, \`port-forward\`, \`top\` and \`drain\` know Pods only, whatever the server says: every task can be read as the Pod of its
  namespace and name, with one container, \`task\`.
`;

const tail = `## Good to know

- A definition and resources of its kind in one file: \`kubectl apply\` looks every kind up before it sends anything, so run it twice, as with any cluster.
  \`taskplane apply\` needs one run.
- What a command of \`exec\` leaves behind ends with it, and a client that goes away takes its command along.
- From 1.30 on \`exec\`, \`attach\` and \`cp\` speak WebSocket, and kubectl itself gives up after about 60 s in which nothing moves (a pager left alone on a long
  output). \`KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false\` makes it speak SPDY, which waits.
- \`attach -i\` needs \`spec.stdin: true\` in the task.
- \`logs\` knows to about a tenth of a second when a line was written: tasks write to a file, and the agent notes how it grows.
- \`--as\` is refused: there is no impersonation. \`cluster-info dump\` ends at the first kind that Taskplane does not have.
`;

export function kubectlPage(areas: readonly AreaOutcome[]): string {
  const versions = [...new Set(areas.flatMap(({ kubectls }) => kubectls.map(({ minor }) => minor)))].toSorted((a, b) => a - b);
  const tested = `The last run had kubectl ${versions.map((minor) => `1.${minor}`).join(', ')}.\n`;
  const sections = areaTitles.flatMap((title) => {
    const found = areas.find((area) => area.title === title);
    return found ? [`## ${title}\n\n| verb | form | kubectl | how it differs |\n| --- | --- | --- | --- |\n${found.checks.map((check) => row(check, found)).join('\n')}\n`] : [];
  });
  return [head, tested, ...sections, tail].join('\n');
}

function row(check: CheckOutcome, { kubectls }: AreaOutcome): string {
  return `${rowHead(check)} ${versionsText(check, kubectls)} | ${cell(check.differs ?? '')} |`;
}

/** What names a check in the table. */
export function rowHead({ verb, form }: Pick<CheckOutcome, 'verb' | 'form'>): string {
  return `| \`${cell(verb)}\` | ${cell(form)} |`;
}

/** A column may not end where the text has a bar. */
export function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** `all`, `from 1.27`, `up to 1.26`; and those that failed. */
function versionsText({ passed }: CheckOutcome, kubectls: AreaOutcome['kubectls']): string {
  const has = kubectls.filter(({ title }) => title in passed);
  const failed = has.filter(({ title }) => !passed[title]);
  const minors = has.map(({ minor }) => minor);
  const all = kubectls.map(({ minor }) => minor);
  const [first, last] = [Math.min(...minors), Math.max(...minors)];
  const range = has.length === 0 ? 'not run' : first > Math.min(...all) ? `from 1.${first}` : last < Math.max(...all) ? `up to 1.${last}` : 'all';
  return failed.length > 0 ? `${range}; **fails** with ${failed.map(({ title }) => title).join(', ')}` : range;
}

/** @returns undefined unless the suite has run in full. */
export function readOutcomes(folder: string): AreaOutcome[] | undefined {
  if (!existsSync(folder)) return undefined;
  const areas = readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as AreaOutcome);
  return areaTitles.every((title) => areas.some((area) => area.title === title)) ? areas : undefined;
}
