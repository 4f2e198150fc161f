// watchers.ts
//
// A process of many watchers of one collection: `node dist/bench/main.js watchers JSON`. It says `watching N`, then `seen N`
// whenever every watcher has seen N changes, and after SIGTERM `result PATH`, a file with a WatchersResult. A watcher is a
// socket that reads lines and the time of sending in them; it parses no object, so that its cost does not hide the server's.

import { writeFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { SystemClock } from '../lib/clock.js';
import { loadKubeConfig } from '../client/kubeconfig.js';
import { encodeRequest, RawAccess } from './raw-client.js';
import { ResponseReader } from './response-reader.js';
import { WallTime } from './wall-time.js';

export interface WatchersOptions {
  kubeconfig: string;
  watchers: number;
  resourceVersion: string;
  resultPath: string;
}

/** What the watchers of one process saw. */
export interface WatchersResult {
  /** By change, in their order: milliseconds from its being sent to each watcher having it. */
  delaysMs: number[][];
  /** Wall time at which the last watcher had each change. */
  completeAtMs: number[];
  /** Watchers that missed a change or saw one twice or out of order, or whose watch ended. */
  wrong: number;
  cpuSeconds: number;
}

/** The annotation that says which change it is, and when it was sent. */
export const sentAnnotation = 'bench.taskplane.dev/sent';
const marker = Buffer.from(`"${sentAnnotation}":"`);
/** Longer than a number of a change and a time. */
const stampLengthMax = 48;

const handshakesInFlight = 32;

export async function runWatchers({ kubeconfig, watchers, resourceVersion, resultPath }: WatchersOptions): Promise<void> {
  const wall = new WallTime(new SystemClock());
  const access = new RawAccess(await loadKubeConfig({ path: kubeconfig }));
  const request = encodeRequest({ method: 'GET', path: `/apis/taskplane.dev/v1/tasks?watch=true&resourceVersion=${resourceVersion}` });
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const result: WatchersResult = { delaysMs: [], completeAtMs: [], wrong: 0, cpuSeconds: 0 };
  let told = false;

  const seen = (change: number, delayMs: number, at: number): void => {
    const delays = (result.delaysMs[change] ??= []);
    delays.push(delayMs);
    if (delays.length < watchers) return;
    result.completeAtMs[change] = at;
    say(`seen ${change + 1}`);
  };
  const sockets: TLSSocket[] = [];
  const follow = async (): Promise<void> => {
    const socket = await access.connect();
    sockets.push(socket);
    let next = 0;
    const line = (bytes: Buffer, at: number): void => {
      const from = bytes.indexOf(marker);
      if (from < 0) return;
      const [change = '', sent = ''] = bytes.toString('latin1', from + marker.length, from + marker.length + stampLengthMax).split('"', 1)[0]!.split(' ');
      if (Number(change) !== next++) result.wrong++;
      seen(Number(change), at - Number(sent), at);
    };
    await new Promise<void>((resolve, reject) => {
      const begun = (status: number): void => (status === 200 ? resolve() : reject(new Error(`a watch was answered ${status}`)));
      const reader = new ResponseReader({ begin: begun, data: linesOf((bytes) => line(bytes, wall.now())), end: () => result.wrong++ });
      socket.on('data', (chunk: Buffer) => reader.take(chunk));
      socket.on('error', reject);
      socket.once('close', () => {
        if (!told) result.wrong++;
      });
      socket.write(request);
    });
  };
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun++ < watchers) await follow();
  };
  await Promise.all(Array.from({ length: Math.min(watchers, handshakesInFlight) }, worker));
  const cpuBefore = process.cpuUsage();
  const asked = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  say(`watching ${watchers}`);
  await asked;
  told = true;
  const { user, system } = process.cpuUsage(cpuBefore);
  writeFileSync(resultPath, JSON.stringify({ ...result, cpuSeconds: (user + system) / 1e6 }));
  say(`result ${resultPath}`);
  for (const socket of sockets) socket.destroy();
}

const newline = 10;

/** Whole lines out of pieces. */
function linesOf(line: (bytes: Buffer) => void): (piece: Buffer) => void {
  let rest: Buffer | undefined;
  return (piece) => {
    let data = rest ? Buffer.concat([rest, piece]) : piece;
    for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline)) {
      line(data.subarray(0, end));
      data = data.subarray(end + 1);
    }
    // A copy, because the piece is valid only now.
    rest = data.length > 0 ? Buffer.from(data) : undefined;
  };
}
