// hollow-dialer.ts
//
// TLS connections of one hollow agent, with its own certificate, the server's checked. Two things that thousands of agents in a
// process would do over and over are done once for all of them: the authority is parsed with the roots of the process
// (NODE_EXTRA_CA_CERTS, see hollow-cluster.ts), and the names in the server's certificate are read on the first connection only.
// The chain is verified in every handshake.

import { connect, createSecureContext, type DetailedPeerCertificate, type SecureContext, type TLSSocket } from 'node:tls';

/** Probes as in client/https-transport.ts: a silent peer is found by the kernel. */
const keepAliveProbeMs = 5_000;

/** Certificates of servers as JavaScript objects, which take a millisecond to make, by `host:port`. */
const seen = new Map<string, DetailedPeerCertificate>();

export interface HollowAccess {
  /** https://HOST:PORT */
  readonly server: string;
  /** PEM. Absent: the authority is among the roots of the process. */
  readonly ca?: string;
  readonly cert: string;
  readonly key: string;
}

export class HollowDialer {
  readonly host: string;
  readonly port: number;
  readonly #context: SecureContext;

  constructor({ server, ca, cert, key }: HollowAccess) {
    const { hostname, port } = new URL(server);
    this.host = hostname;
    this.port = Number(port);
    this.#context = createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
  }

  /** What is written before the handshake is over waits for it. */
  dial(): TLSSocket {
    const socket = connect({ host: this.host, port: this.port, secureContext: this.#context });
    const address = `${this.host}:${this.port}`;
    const known = seen.get(address);
    if (known) socket.getPeerCertificate = () => known;
    else socket.once('secureConnect', () => void seen.set(address, socket.getPeerCertificate(true)));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveProbeMs);
    return socket;
  }
}
