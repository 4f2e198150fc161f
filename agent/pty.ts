// pty.ts
//
// A terminal for a command. Node opens the master (closed on exec, unlike what terminal libraries do: theirs stays open in
// every process that is started meanwhile, and whoever holds it reads along); the three calls of ioctl that Node lacks come
// from libc, through a library that is loaded only when somebody asks for a terminal.
//
// The master never blocks. Node's own stream for terminals spins on a write that has to wait, so that bytes are written here,
// as many as the terminal takes, and the rest a little later.
//
// Linux: https://man7.org/linux/man-pages/man2/TIOCSWINSZ.2const.html, https://man7.org/linux/man-pages/man4/pts.4.html

import { chownSync, closeSync, constants, openSync, readSync, statSync, writeSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import type { Clock } from '../lib/clock.js';
import { StartError } from './driver.js';

export interface Terminal {
  /** To be opened by the leader of a new session. */
  readonly path: string;
  readonly output: Readable;
  /** Ending it types Ctrl-D. */
  readonly input: Writable;
  resize(size: { width: number; height: number }): void;
  /** The processes on it get SIGHUP. Idempotent. */
  close(): void;
}

type Ioctl = (fd: number, request: number, argument: Buffer) => number;

const requests = { unlock: 0x4004_5431, number: 0x8004_5430, setSize: 0x5414 };
const endOfTransmission = 4;
/** How long to leave a terminal alone whose input is full. */
const fullMs = 20;
const defaultSize = { width: 80, height: 24 };
let ioctl: Promise<Ioctl> | undefined;

/** @throws StartError where there are no terminals to be had */
export async function openTerminal(owner: { uid: number; gid: number } | undefined, clock: Clock): Promise<Terminal> {
  const control = await (ioctl ??= loadIoctl());
  const master = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    const number = Buffer.alloc(4);
    if (control(master, requests.unlock, Buffer.alloc(4)) !== 0 || control(master, requests.number, number) !== 0) throw noTerminal('the kernel gives none');
    const path = `/dev/pts/${number.readInt32LE(0)}`;
    if (owner) chownSync(path, owner.uid, statSync(path).gid);
    const terminal = new OpenTerminal(path, master, control, clock);
    terminal.resize(defaultSize);
    return terminal;
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

async function loadIoctl(): Promise<Ioctl> {
  if (process.platform !== 'linux') throw noTerminal(`terminals are made on Linux only, and this is ${process.platform}`);
  try {
    const { default: koffi } = await import('koffi');
    return koffi.load(null).func('int ioctl(int fd, unsigned long request, void *argument)') as Ioctl;
  } catch (error) {
    throw noTerminal(`the package koffi does not load here (${process.platform} ${process.arch}; install with optional dependencies): ${(error as Error).message}`);
  }
}

function noTerminal(why: string): StartError {
  return new StartError(`the node cannot open a terminal: ${why}; run the command without -t`, 126);
}

class OpenTerminal implements Terminal {
  readonly output: Readable;
  readonly input: Writable;
  readonly #master: number;
  readonly #source: ReadStream;
  readonly #ioctl: Ioctl;
  readonly #clock: Clock;

  constructor(
    readonly path: string,
    master: number,
    control: Ioctl,
    clock: Clock,
  ) {
    this.#master = master;
    this.#ioctl = control;
    this.#clock = clock;
    // From now on the descriptor is the stream's, which closes it; its number may mean another file right after that.
    this.#source = new ReadStream(master);
    this.output = outputOf(this.#source, master);
    this.input = new Writable({
      write: (bytes: Buffer, _encoding, done) => this.#write(bytes, done),
      final: (done) => this.#write(Buffer.from([endOfTransmission]), done),
    });
    this.input.on('error', () => undefined);
  }

  resize({ width, height }: { width: number; height: number }): void {
    if (this.#source.destroyed) return;
    // struct winsize: rows, columns, and pixels that nobody knows
    const size = Buffer.alloc(8);
    size.writeUInt16LE(height, 0);
    size.writeUInt16LE(width, 2);
    this.#ioctl(this.#master, requests.setSize, size);
  }

  close(): void {
    this.input.destroy();
    this.output.destroy();
    this.#source.destroy();
  }

  #write(bytes: Buffer, done: (error?: Error) => void): void {
    if (this.#source.destroyed) return done(new Error('the terminal is closed'));
    let written = 0;
    try {
      written = writeSync(this.#master, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return done(error as Error);
    }
    if (written === bytes.length) return done();
    this.#clock.timer(fullMs, () => this.#write(bytes.subarray(written), done), { unref: true });
  }
}

/**
 * What the terminal says, to the last byte. When the last process on it has gone, libuv takes a short read for the end, and all
 * reads of terminals are short: what the kernel still has is read here. Other than at an end, streams drop at an error (EIO)
 * what was read but not yet taken.
 */
function outputOf(source: ReadStream, master: number): Readable {
  const output = new Readable({
    read: () => void source.resume(),
    destroy: (error, done) => {
      source.destroy();
      done(error);
    },
  });
  source.on('data', (chunk: Buffer) => {
    if (!output.push(chunk)) source.pause();
  });
  // Called before the stream closes the descriptor.
  source.on('end', () => {
    for (let rest = readNow(master); rest.length > 0; rest = readNow(master)) output.push(rest);
  });
  source.on('error', () => undefined);
  source.on('close', () => output.push(null));
  return output;
}

/** Empty when there is nothing to read now, or ever. */
function readNow(master: number): Buffer {
  const buffer = Buffer.allocUnsafe(4_096);
  try {
    return buffer.subarray(0, readSync(master, buffer));
  } catch {
    return buffer.subarray(0, 0);
  }
}
