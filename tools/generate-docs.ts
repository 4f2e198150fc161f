// generate-docs.ts: `npm run docs` writes the pages that are derived from the code.

import { writeFileSync } from 'node:fs';
import { pages } from './pages.js';

for (const [path, text] of Object.entries(pages())) {
  writeFileSync(path, text);
  console.log(`wrote ${path}`);
}
