// users.ts: the user a task runs as.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { promisify } from 'node:util';
import { StartError } from './driver.js';

export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
  /** Whether the user database knows it; a bare number has no groups to join. */
  known: boolean;
}

/** The agent's own user. */
export function ownUser(): User {
  const { uid, gid } = userInfo();
  const known = findInPasswd(readPasswd(), String(uid));
  return known ?? { name: String(uid), uid, gid, home: homedir(), known: false };
}

/** @throws StartError when nobody has that name */
export async function findUser(nameOrNumber: string | number): Promise<User> {
  const wanted = String(nameOrNumber);
  const local = findInPasswd(readPasswd(), wanted);
  if (local) return local;
  const elsewhere = await fromDirectoryServices(wanted);
  if (elsewhere) return elsewhere;
  if (/^\d+$/.test(wanted)) return { name: wanted, uid: Number(wanted), gid: Number(wanted), home: '/', known: false };
  throw new StartError(`user ${wanted} does not exist on this node`, 128);
}

/** `wanted` is a name, or else a number. */
export function findInPasswd(passwd: string, wanted: string): User | undefined {
  const users = passwd.split('\n').map((line) => line.split(':')).filter((fields) => fields.length >= 6);
  const fields = users.find(([name]) => name === wanted) ?? users.find(([, , uid]) => uid === wanted);
  return fields && { name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]), home: fields[5]!, known: true };
}

function readPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return '';
  }
}

/** LDAP and the like, through getent where it exists. */
async function fromDirectoryServices(wanted: string): Promise<User | undefined> {
  try {
    const { stdout } = await promisify(execFile)('getent', ['passwd', '--', wanted], { timeout: 10_000 });
    return findInPasswd(stdout, wanted);
  } catch {
    return undefined;
  }
}
