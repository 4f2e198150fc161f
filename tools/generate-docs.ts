// generate-docs.ts: `npm run docs` writes the pages that are derived from the code, from the last run of e2e/kubectl, and from the
// figures that `npm run bench -- --report` has kept.

import { writeFileSync } from 'node:fs';
import { cases } from '../bench/cases.js';
import { updateReport } from '../bench/report/write.js';
import { outcomesFolder } from '../e2e/kubectl/outcome.js';
import { kubectlPage, readOutcomes } from '../e2e/kubectl/page.js';
import { pages } from './pages.js';

for (const [path, text] of Object.entries(pages())) {
  writeFileSync(path, text);
  console.log(`wrote ${path}`);
}

const outcomes = readOutcomes(outcomesFolder);
if (outcomes) {
  writeFileSync('docs/kubectl.md', kubectlPage(outcomes));
  console.log('wrote docs/kubectl.md');
} else console.log('left docs/kubectl.md as it is: run npm test -- e2e/kubectl first');

for (const path of updateReport('docs', cases, [])) console.log(`wrote ${path}`);
