// stream-fixture.ts: for tests, real processes under a real driver, and a server that talks to them over a tunnel.

import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Status } from '../../api/errors.js';
import type { AttachTunnelRequest, ExecTunnelRequest, TunnelRequest } from '../../api/protocol.js';
import { channels, encodeFrame, FrameReader } from '../../api/stream-frames.js';
import { SystemClock } from '../../lib/clock.js';
import { silentLogger } from '../../lib/log.js';
import { Mux, type MuxStream } from '../../lib/mux.js';
import { SystemRandom } from '../../lib/random.js';
import { pairedChannels } from '../../lib/testing/paired-channels.js';
import { detectCgroups } from '../cgroup-detect.js';
import { startSpec } from '../driver-contract.js';
import { isExecution, parseAttemptKey, type Execution, type StartSpec } from '../driver.js';
import { LogStore } from '../log-store.js';
import { ProcessDriver } from '../process-driver.js';
import { uptimeCentiseconds } from '../proc.js';
import { sessionsOf } from '../streams/sessions.js';
import { Tunnel } from '../tunnel.js';
import { Watchdog } from '../watchdog.js';

const clock = new SystemClock();
let nodes = 0;

export class StreamFixture {
  readonly dataDir: string;
  readonly logs: LogStore;
  server!: Mux;
  /** What tasks say about their input. */
  stdinOnce = false;
  readonly #cgroups: ReturnType<typeof detectCgroups>;
  readonly #running = new Map<string, Execution>();
  readonly #stop = new AbortController();
  #driver: ProcessDriver;
  #tunnel: Promise<void> = Promise.resolve();

  static async make(withCgroups: boolean, limits: { sessionsMax?: number } = {}): Promise<StreamFixture> {
    const dataDir = await mkdtemp(join(tmpdir(), 'taskplane-streams-'));
    const fixture = new StreamFixture(dataDir, withCgroups ? detectCgroups(`streams-${process.pid}-${++nodes}`) : undefined);
    await fixture.#connect(limits);
    return fixture;
  }

  private constructor(dataDir: string, cgroups: ReturnType<typeof detectCgroups>) {
    this.dataDir = dataDir;
    this.#cgroups = cgroups;
    this.#driver = this.#makeDriver();
    this.logs = new LogStore({ dataDir, clock, logger: silentLogger });
  }

  async #connect(limits: { sessionsMax?: number }): Promise<void> {
    const sessions = sessionsOf({ agent: { executionOf: (uid) => this.#running.get(uid), taskOf: () => ({ spec: { stdinOnce: this.stdinOnce } }) }, logs: this.logs, attemptsDir: join(this.dataDir, 'attempts'), clock, logger: silentLogger, ...limits });
    const dialled = new Promise<void>((resolve) => {
      const dial = (): ReturnType<Parameters<typeof makeTunnel>[0]> => {
        const [ours, theirs] = pairedChannels();
        this.server = new Mux({ channel: ours, initiator: true });
        resolve();
        return Promise.resolve(theirs);
      };
      const makeTunnel = (open: (signal: AbortSignal) => Promise<ReturnType<typeof pairedChannels>[1]>): Tunnel =>
        new Tunnel({ dial: open, logs: this.logs, sessions, clock, random: new SystemRandom(), logger: silentLogger });
      this.#tunnel = makeTunnel(dial).run(this.#stop.signal);
    });
    await dialled;
  }

  #makeDriver(): ProcessDriver {
    const watchdog = new Watchdog({ dataDir: this.dataDir, cgroups: this.#cgroups, logger: silentLogger });
    watchdog.setDeadline(uptimeCentiseconds() + 100_000);
    return new ProcessDriver({ dataDir: this.dataDir, cgroups: this.#cgroups, watchdog, clock, logger: silentLogger });
  }

  /** Starts an attempt as the agent does. */
  async start(parts: Partial<StartSpec>): Promise<Execution> {
    // Of another run of these tests at the same time, everything with the same marks would be killed.
    const spec = startSpec({ key: `${new SystemRandom().uuid()}-1-1`, ...parts });
    const execution = await this.#driver.start(spec);
    const run = join(this.dataDir, 'attempts', spec.key, 'run');
    while (!existsSync(run) || !readFileSync(run, 'utf8').endsWith('\n')) await new Promise((resolve) => setImmediate(resolve));
    this.#follow(execution);
    return execution;
  }

  /** What an agent that follows finds of it. */
  async restart(execution: Execution): Promise<Execution> {
    execution.detach();
    this.#driver = this.#makeDriver();
    const found = await this.#driver.recover(execution.key);
    if (found === 'never-started' || !isExecution(found)) throw new Error('it does not run any more');
    this.#follow(found);
    return found;
  }

  #follow(execution: Execution): void {
    const { uid } = parseAttemptKey(execution.key)!;
    this.#running.set(uid, execution);
    this.logs.started(execution.key);
    void execution.ended.then(() => {
      this.#running.delete(uid);
      this.logs.ended(execution.key);
    });
  }

  /** Runs a command beside the attempt, with all streams but a terminal when nothing else is said. */
  exec(execution: Execution, command: readonly string[], parts: Partial<ExecTunnelRequest> = {}): FrameClient {
    return new FrameClient(this.open({ type: 'exec', ...target(execution), stdin: true, stdout: true, stderr: true, tty: false, ...parts, command: [...command] }));
  }

  attach(execution: Execution, parts: Partial<AttachTunnelRequest> = {}): FrameClient {
    return new FrameClient(this.open({ type: 'attach', ...target(execution), stdin: false, stdout: true, stderr: true, tty: false, ...parts }));
  }

  forward(execution: Execution, port: number): MuxStream {
    return this.open({ type: 'port-forward', ...target(execution), port });
  }

  open(request: TunnelRequest): MuxStream {
    return this.server.open(Buffer.from(JSON.stringify(request)));
  }

  async dispose(): Promise<void> {
    this.#stop.abort();
    await this.#tunnel;
    for (const execution of this.#running.values()) {
      execution.kill();
      await execution.ended;
    }
    await this.#driver.sweep(new Set());
    await this.#driver.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

function target(execution: Execution): { namespace: string; name: string; uid: string } {
  return { namespace: 'default', name: 'web', uid: parseAttemptKey(execution.key)!.uid };
}

/** The API server's end of a stream of frames. */
export class FrameClient {
  readonly output: Record<number, Buffer[]> = { [channels.stdout]: [], [channels.stderr]: [] };
  /** The last word; rejects with the reason when the stream was reset instead. */
  readonly status: Promise<Status>;
  #grown: () => void = () => undefined;

  constructor(readonly stream: MuxStream) {
    this.status = this.#read();
    this.status.catch(() => undefined);
  }

  async #read(): Promise<Status> {
    const reader = new FrameReader();
    let status: Status | undefined;
    for await (const piece of this.stream) {
      for (const { channel, payload } of reader.read(piece)) {
        if (channel === channels.status) status = JSON.parse(payload.toString()) as Status;
        else this.output[channel]!.push(Buffer.from(payload));
        this.#grown();
      }
    }
    this.stream.end();
    if (!status) throw new Error('the stream ended without a status');
    return status;
  }

  async write(text: string | Buffer): Promise<void> {
    await this.stream.write(encodeFrame(channels.stdin, Buffer.from(text)));
  }

  async closeInput(): Promise<void> {
    await this.stream.write(encodeFrame(channels.close, Buffer.from([channels.stdin])));
  }

  async resize(width: number, height: number): Promise<void> {
    await this.stream.write(encodeFrame(channels.resize, Buffer.from(JSON.stringify({ Width: width, Height: height }))));
  }

  bytes(channel: number = channels.stdout): Buffer {
    return Buffer.concat(this.output[channel]!);
  }

  text(channel: number = channels.stdout): string {
    return this.bytes(channel).toString();
  }

  /** Resolves when stdout (or another channel) holds it. */
  async says(pattern: string | RegExp, channel: number = channels.stdout): Promise<string> {
    for (;;) {
      const text = this.text(channel);
      if (typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text)) return text;
      const ended = await Promise.race([new Promise<false>((resolve) => (this.#grown = () => resolve(false))), this.status.then(() => true as const)]);
      if (ended && this.text(channel) === text) throw new Error(`it ended with ${JSON.stringify(await this.status)} and said only ${JSON.stringify(text)}`);
    }
  }

  /** Everything it said, and how it ended. */
  async end(): Promise<{ stdout: string; stderr: string; status: Status }> {
    const status = await this.status;
    return { stdout: this.text(), stderr: this.text(channels.stderr), status };
  }
}

export const exitCodeOf = (status: Status): number => (status.status === 'Success' ? 0 : Number(status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message ?? NaN));
