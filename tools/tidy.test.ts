// Our manners, as a test: each unwanted form is named with the one to use instead.

import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const folders = ['lib', 'api', 'apiserver', 'client', 'controllers', 'agent', 'cli', 'bench'];

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return name.endsWith('.ts') && !name.endsWith('.test.ts') ? [path] : [];
  });
}

const banned: readonly { form: RegExp; instead: string; homes: RegExp }[] = [
  { form: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/, instead: 'a Clock (lib/clock.ts)', homes: /^lib\/clock\.ts$|^bench\/|\/testing\// },
  { form: /(?<![.\w])(setTimeout|setInterval)\(/, instead: 'clock.timer or sleep (lib/clock.ts)', homes: /^lib\/clock\.ts$|^bench\/|\/testing\// },
  { form: /\bMath\.random\(|\brandomUUID\(/, instead: 'a Random (lib/random.ts)', homes: /^lib\/random\.ts$|^bench\/|\/testing\// },
  { form: /@ts-ignore|@ts-expect-error|\bas any\b|: any\b/, instead: 'a type', homes: /^$/ },
  { form: /\b(TODO|FIXME|XXX)\b/, instead: 'the work, or an issue', homes: /^$/ },
  { form: /\bprocess\.exit\(/, instead: 'a thrown error; only the command line ends the process', homes: /^bench\/|^cli\/(main|io|session|serve\/agent)\.ts$/ },
];

describe('our manners', () => {
  it.each(banned)('$form is not used outside its home; use $instead', ({ form, homes }) => {
    const found: string[] = [];
    for (const path of folders.flatMap(sources)) {
      if (homes.test(path)) continue;
      readFileSync(path, 'utf8')
        .split('\n')
        .forEach((line, index) => {
          if (form.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line)) found.push(`${path}:${index + 1}: ${line.trim()}`);
        });
    }
    expect(found).toEqual([]);
  });
});
