// tls-user.ts: who is at the other end of a TLS connection: the subject of the client certificate, if our authority signed it.

import type { TLSSocket } from 'node:tls';
import type { User } from '../resources/service.js';

/** Reading the certificate parses it anew each time; a connection's never changes. */
const users = new WeakMap<TLSSocket, { user: User | undefined }>();

/** CN is the user's name, each O a group, as in Kubernetes. Undefined without a certificate that holds. */
export function userOfSocket(socket: TLSSocket): User | undefined {
  let known = users.get(socket);
  if (!known) users.set(socket, (known = { user: readUser(socket) }));
  return known.user;
}

function readUser(socket: TLSSocket): User | undefined {
  if (!socket.authorized) return undefined;
  return userOfSubject(socket.getPeerX509Certificate()?.subject) ?? userOfCertificate(socket);
}

/** One line for each part. With anything that is written otherwise than it is (escapes, several parts in one) it is for the long way. */
const plainSubject = /^(?:[A-Za-z]+=[^\\"+\P{ASCII}\p{Cc}]*(?:\n|$))+$/u;

/** A fraction of the time of reading the whole certificate. @param subject as OpenSSL prints it, in several lines */
export function userOfSubject(subject: string | undefined): User | undefined {
  if (!subject || !plainSubject.test(subject)) return undefined;
  const groups: string[] = [];
  const names: string[] = [];
  for (const line of subject.split('\n')) {
    if (line.startsWith('CN=')) names.push(line.slice('CN='.length));
    else if (line.startsWith('O=')) groups.push(line.slice('O='.length));
  }
  const [name] = names;
  return names.length === 1 && name ? { name, groups } : undefined;
}

function userOfCertificate(socket: TLSSocket): User | undefined {
  // On a resumed session a connection without a certificate is `authorized`, too: what counts is the certificate. A
  // connection that is gone already has null.
  const { subject } = (socket.getPeerCertificate() ?? {}) as { subject?: { CN?: string | string[]; O?: string | string[] } };
  const name = subject?.CN;
  if (typeof name !== 'string' || name === '') return undefined;
  return { name, groups: [subject?.O ?? []].flat() };
}
