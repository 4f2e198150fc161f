// shell.ts: which shell starts a process with a given environment.

import { existsSync } from 'node:fs';
import { unusualNames } from './command.js';
import { StartError } from './driver.js';

/** @throws StartError when no shell of this node hands on all of the environment */
export function shellFor(env: Readonly<Record<string, string>>): string {
  const unusual = unusualNames(env);
  if (unusual.length === 0) return '/bin/sh';
  const bash = ['/bin/bash', '/usr/bin/bash'].find((path) => existsSync(path));
  if (!bash) throw new StartError(`variable ${unusual[0]} needs bash, which this node lacks; use letters, digits and _ only`, 128);
  return bash;
}
