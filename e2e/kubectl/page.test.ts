// The page says what the suite checks: no row more, none less, and the same differences.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { badInput } from './bad-input.js';
import { customResources } from './custom-resources.js';
import { operating } from './operating.js';
import { areaTitles, cell, rowHead } from './page.js';
import { reading } from './reading.js';
import { writing } from './writing.js';

const areas = [reading, writing, operating, customResources, badInput];

describe('docs/kubectl.md', () => {
  it('has the areas of the suite', () => expect(areas.map(({ title }) => title)).toEqual(areaTitles));

  it.each(areas)('tells what is checked under $title (npm test -- e2e/kubectl, then npm run docs)', ({ title, checks }) => {
    const page = readFileSync('docs/kubectl.md', 'utf8');
    const section = page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? '';
    const told = section.split('\n').filter((line) => line.startsWith('| `'));
    const withoutVersions = told.map((line) => line.replace(/ (all|from 1\.\d+|up to 1\.\d+|not run) \|/, ''));
    expect(withoutVersions).toEqual(checks.map((check) => `${rowHead(check)} ${cell(check.differs ?? '')} |`));
  });
});
