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
// A session of its own: a terminal's Ctrl-C would also reach the servers, and what still runs on them could not be removed.
const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
const child = spawn(process.execPath, [join(root, 'dist/bench/main.js'), ...process.argv.slice(2)], { stdio, detached: true });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGTERM'));
child.on('close', (code) => (process.exitCode = code ?? 1));
