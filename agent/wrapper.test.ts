import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttemptFiles } from './attempt-files.js';
import { wrapperScript } from './wrapper.js';

describe('the wrapper', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-wrapper-'));
    await writeFile(join(directory, 'wrapper.sh'), wrapperScript);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('leaves the exit code as its last word where the kernel cannot kill a group at once, and kills what it can', async () => {
    const files = new AttemptFiles(join(directory, 'attempt'));
    await mkdir(files.dir);
    const wrapper = spawn('/bin/sh', [join(directory, 'wrapper.sh'), files.dir, join(directory, 'cgroup.kill', 'none'), '', 'boot 1', '--', '/bin/sh', '-c', 'exit 3'], { detached: true, stdio: 'ignore' });
    expect(await once(wrapper, 'exit')).toEqual([null, 'SIGKILL']);
    expect(files.readExit()).toMatchObject({ exitCode: 3 });
  });
});
