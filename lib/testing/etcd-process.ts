import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface EtcdProcessOptions {
  /** Further flags, for example `['--auto-compaction-retention=1']`. */
  readonly flags?: readonly string[];
  /** Scheme of the client endpoint. With https, `flags` name the certificates. @default 'http' */
  readonly scheme?: 'http' | 'https';
}

/** Starts that may fail because another process took the port in the meantime. */
const startTriesMax = 5;

/**
 * A private etcd for a test: the `etcd` on PATH, on free loopback ports, its data in a temporary directory, every write
 * synced to disk as in production.
 */
export class EtcdProcess {
  readonly #options: EtcdProcessOptions;
  readonly #directory: string;
  #clientPort = 0;
  #peerPort = 0;
  #child: ChildProcess | undefined;

  /** @throws Error when there is no etcd on PATH or it does not start; the message holds what it printed */
  static async start(options: EtcdProcessOptions = {}): Promise<EtcdProcess> {
    const etcd = new EtcdProcess(options, await mkdtemp(join(tmpdir(), 'taskplane-etcd-')));
    for (let tries = 1; ; tries++) {
      [etcd.#clientPort, etcd.#peerPort] = await freePorts();
      try {
        await etcd.restart();
        return etcd;
      } catch (error) {
        if (tries === startTriesMax || !String(error).includes('address already in use')) {
          await etcd.stop();
          throw error;
        }
      }
    }
  }

  private constructor(options: EtcdProcessOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
  }

  /** The client URL, the same over restarts. */
  get endpoint(): string {
    return `${this.#options.scheme ?? 'http'}://127.0.0.1:${this.#clientPort}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it again on the same ports and data, after `kill`. Resolves when it serves clients. */
  async restart(): Promise<void> {
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const child = spawn(
      'etcd',
      [
        ...['--name', 'test', '--data-dir', join(this.#directory, 'data')],
        ...['--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `test=${peer}`],
        ...(this.#options.flags ?? []),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#child = child;
    // A test runner that is ended in the middle of a test must not leave it behind.
    const killWithUs = (): void => void child.kill('SIGKILL');
    process.once('exit', killWithUs);
    child.once('exit', () => process.off('exit', killWithUs));
    await serving(child);
  }

  /** Kills it as `kill -9` does. Resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Freezes it, so that connections stay open and nothing answers. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Ends it and removes its data. Idempotent. */
  async stop(): Promise<void> {
    await this.#end('SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }
}

/** Resolves at the line that says so; rejects when the process ends before it. Goes on reading, or etcd would block. */
function serving(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const printed: string[] = [];
    child.once('error', (error) => reject(new Error(`cannot run etcd (Debian package etcd-server): ${error.message}`)));
    child.once('exit', (code, signal) => reject(new Error(`etcd ended (${code ?? signal}) before it served:\n${printed.slice(-20).join('\n')}`)));
    createInterface({ input: child.stderr! }).on('line', (line) => {
      printed.push(line);
      if (printed.length > 100) printed.shift();
      if (line.includes('ready to serve client requests')) resolve();
    });
  });
}

/** Two ports that were free a moment ago. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  await Promise.all(servers.map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
  const [first, second] = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return [first!, second!];
}
