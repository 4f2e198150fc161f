// main.ts: the `taskplane` command. The only place that sets the exit code.

import { CommanderError } from 'commander';
import { CliError, failureText } from './failure.js';
import { processIo } from './io.js';
import { buildProgram } from './program.js';
import { Session } from './session.js';

const session = new Session(processIo());
try {
  await buildProgram(session).parseAsync(process.argv);
  process.exitCode = session.exitCode;
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode;
  } else {
    session.io.err.write(`${failureText(error, session.server)}\n`);
    if (process.env['TASKPLANE_DEBUG']) session.io.err.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = error instanceof CliError ? error.exitCode : 1;
  }
} finally {
  await session.close();
}
