// bench.mjs: `npm run bench`. Builds what has changed, then measures; see bench/main.ts for the flags.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, root } from './build.mjs';

try {
  await build();
} catch (error) {
  process.stderr.write(`the build failed:\n${error.message}\n`);
  process.exit(1);
}
const child = spawn(process.execPath, [join(root, 'dist/bench/main.js'), ...process.argv.slice(2)], { stdio: 'inherit' });
// A terminal sends Ctrl-C to both: the child cleans up, and this process ends with it.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('close', (code) => (process.exitCode = code ?? 1));
