// agent-host.ts: builds agent-process.ts and runs it as a child, answering its requests through a transport.

import { build } from 'esbuild';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transport } from '../../api/transport.js';
import type { ToChild, ToParent } from './agent-process.js';

const root = process.cwd();

/** @returns path of a bundle that node can run; packages are taken from node_modules */
export async function buildAgentProcess(): Promise<string> {
  const outfile = join(root, '.cache', `agent-process-${process.pid}.mjs`);
  await mkdir(join(root, '.cache'), { recursive: true });
  await build({ entryPoints: [join(root, 'agent/testing/agent-process.ts')], outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external', target: 'node20', logLevel: 'error' });
  return outfile;
}

export class AgentHost {
  readonly #child: ChildProcess;
  readonly #streams = new Map<number, AbortController>();

  constructor(options: { bundle: string; nodeName: string; dataDir: string; transport: Transport }) {
    this.#child = fork(options.bundle, [options.nodeName, options.dataDir], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
    this.#child.on('message', (message: ToParent) => void this.#answer(options.transport, message));
    this.#child.on('exit', () => this.#streams.forEach((stream) => stream.abort()));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    return gone.then(() => undefined);
  }

  async #answer(transport: Transport, message: ToParent): Promise<void> {
    const { id } = message;
    if (message.kind === 'abort') return this.#streams.get(id)?.abort();
    try {
      if (message.kind === 'request') return this.#send({ id, kind: 'response', response: await transport.request(message.request) });
      const abort = new AbortController();
      this.#streams.set(id, abort);
      const { status, headers, chunks } = await transport.stream({ ...message.request, signal: abort.signal });
      this.#send({ id, kind: 'head', status, headers: { ...headers } });
      for await (const chunk of chunks) this.#send({ id, kind: 'chunk', data: chunk.toString('base64') });
      this.#send({ id, kind: 'end' });
    } catch (error) {
      this.#send({ id, kind: 'error', message: (error as Error).message });
    }
  }

  #send(message: ToChild): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }
}
