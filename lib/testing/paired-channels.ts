// paired-channels.ts: two ends of a message channel in one process, for tunnels in tests.

import type { MessageChannel } from '../mux.js';

class End implements MessageChannel {
  peer!: End;
  #message: (message: Buffer) => void = () => {};
  #close: () => void = () => {};
  #closed = false;

  send(message: Buffer): void {
    queueMicrotask(() => this.peer.#closed || this.peer.#message(message));
  }

  onMessage(handler: (message: Buffer) => void): void {
    this.#message = handler;
  }

  onClose(handler: () => void): void {
    this.#close = handler;
  }

  close(): void {
    for (const end of [this, this.peer]) {
      if (end.#closed) continue;
      end.#closed = true;
      queueMicrotask(() => end.#close());
    }
  }
}

export function pairedChannels(): [MessageChannel, MessageChannel] {
  const ends: [End, End] = [new End(), new End()];
  [ends[0].peer, ends[1].peer] = [ends[1], ends[0]];
  return ends;
}
