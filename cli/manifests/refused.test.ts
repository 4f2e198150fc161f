// Every manifest of manifests/refused is refused, before anything is sent, with the lines that stand beside it; every
// example passes.

import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { checkDocuments, problemLines } from './check.js';
import { parseManifest } from './parse.js';

/** Rewrites the .txt files from what is said now; the difference is for review. */
const rewrite = process.env['REWRITE'] === '1';

function linesFor(folder: string, file: string): string[] {
  const { documents, problems } = parseManifest(file, readFileSync(`manifests/${folder}/${file}`, 'utf8'));
  return problemLines([...problems, ...checkDocuments(documents).problems]);
}

const filesOf = (folder: string): string[] => readdirSync(`manifests/${folder}`).filter((file) => file.endsWith('.yaml'));

describe('manifests/refused', () => {
  it('holds at least twelve manifests', () => {
    expect(filesOf('refused').length).toBeGreaterThanOrEqual(12);
  });

  it.each(filesOf('refused'))('%s is refused with exactly the lines beside it', (file) => {
    const lines = linesFor('refused', file);
    const path = `manifests/refused/${file.replace(/\.yaml$/, '.txt')}`;
    if (rewrite) writeFileSync(path, `${lines.join('\n')}\n`);
    expect(lines).toEqual(readFileSync(path, 'utf8').trimEnd().split('\n'));
    expect(lines.length).toBeGreaterThan(0);
  });

  it('never shows the value of a Secret', () => {
    expect(linesFor('refused', 'secret-not-base64.yaml').join()).not.toContain('not base64!');
  });
});

describe('manifests/examples', () => {
  it.each(filesOf('examples'))('%s has no problem', (file) => {
    expect(linesFor('examples', file)).toEqual([]);
  });
});
