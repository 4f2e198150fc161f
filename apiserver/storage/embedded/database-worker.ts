// database-worker.ts: the program of the database's thread.

import { parentPort, workerData } from 'node:worker_threads';
import { Database, type DatabaseOptions } from './database.js';
import { failureOf, perform, type Answer, type Call } from './database-calls.js';

const port = parentPort!;

function answer(work: () => unknown): boolean {
  let said: Answer;
  try {
    said = { result: work() };
  } catch (error) {
    said = { failure: failureOf(error) };
  }
  port.postMessage(said);
  return 'result' in said;
}

let db: Database | undefined;
const opened = answer(() => {
  db = new Database(workerData as DatabaseOptions);
  return { bounds: db.bounds, present: db.present() };
});
if (opened) {
  port.on('message', (call: Call) => {
    answer(() => perform(db!, call));
    // Nothing holds the thread any more then.
    if (call.call === 'close') port.close();
  });
} else port.close();
