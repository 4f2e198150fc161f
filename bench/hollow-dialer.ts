// hollow-dialer.ts
//
// TLS connections of one hollow agent, with its own certificate, the server's checked. Three things that thousands of agents in a
// process would do over and over are done once for all of them: the authority is parsed with the roots of the process
// (NODE_EXTRA_CA_CERTS, see hollow-cluster.ts), the names in the server's certificate are read on the first connection only, and
// agents that have one key (agent-certificates.ts) have one context, into which each puts its certificate before it dials: a
// connection takes a copy when it is made. To make a context and to read a key takes 0.6 ms. The chain is verified in every handshake.

import { connect, createSecureContext, type DetailedPeerCertificate, type SecureContext, type TLSSocket } from 'node:tls';

/** Probes as in client/https-transport.ts: a silent peer is found by the kernel. */
const keepAliveProbeMs = 5_000;

/** Certificates of servers as JavaScript objects, which take a millisecond to make, by `host:port`. */
const seen = new Map<string, DetailedPeerCertificate>();

/** What the native context does with the certificates in the options of a new one. */
type NativeContext = { setCert(pem: string): void };

/** By authority and key. */
const contexts = new Map<string, SecureContext>();

function contextOf({ ca, cert, key }: HollowAccess): SecureContext {
  const which = `${ca ?? ''}${key}`;
  let context = contexts.get(which);
  if (context) (context.context as NativeContext).setCert(cert);
  else contexts.set(which, (context = createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) })));
  return context;
}

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
  readonly #access: HollowAccess;

  constructor(access: HollowAccess) {
    const { hostname, port } = new URL(access.server);
    this.host = hostname;
    this.port = Number(port);
    this.#access = access;
  }

  /** What is written before the handshake is over waits for it. */
  dial(): TLSSocket {
    const socket = connect({ host: this.host, port: this.port, secureContext: contextOf(this.#access) });
    const address = `${this.host}:${this.port}`;
    const known = seen.get(address);
    if (known) socket.getPeerCertificate = () => known;
    else socket.once('secureConnect', () => void seen.set(address, socket.getPeerCertificate(true)));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveProbeMs);
    return socket;
  }
}
