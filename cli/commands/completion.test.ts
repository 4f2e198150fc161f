import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import type { ApiClient } from '../../client/api-client.js';
import { processIo } from '../io.js';
import { buildProgram } from '../program.js';
import { Session } from '../session.js';
import { complete, completionScript } from './completion.js';

const program = buildProgram(new Session(processIo()));
const asked: string[] = [];

/** A cluster with two objects of every kind. */
const connect = async () => ({
  access: { server: 'https://x', namespace: 'work' },
  client: {
    list: async ({ singular }: { singular: string }, { namespace }: { namespace?: string }) => {
      asked.push(`${singular} in ${namespace ?? 'all'}`);
      return { items: [{ metadata: { name: `${singular}-a` } }, { metadata: { name: `${singular}-b` } }] };
    },
  } as unknown as ApiClient,
});
const candidates = (...words: string[]): Promise<string[]> => complete(program, words, connect);

describe('complete', () => {
  it('offers verbs, flags and their values', async () => {
    expect(await candidates('de')).toEqual(['delete', 'describe', 'dev']);
    expect(await candidates('top', '')).toEqual(['nodes']);
    expect(await candidates('logs', '--f')).toEqual(['--follow']);
    expect(await candidates('run', 'x', '--restart', 'On')).toEqual(['OnFailure']);
    expect(await candidates('wait', 'task/x', '--for', 'r')).toEqual(['running']);
    expect(await candidates('completion', '')).toEqual(['bash', 'fish', 'zsh']);
  });

  it('offers kinds, then the names of live objects that are not there yet', async () => {
    expect(await candidates('get', 'tas')).toEqual(['task', 'tasks']);
    expect(await candidates('get', 'task', 'task-a', '')).toEqual(['task-b']);
    expect(await candidates('describe', 'node/')).toEqual(['node/node-a', 'node/node-b']);
    expect(await candidates('logs', '-f', '')).toEqual(['task-a', 'task-b']);
    expect(await candidates('cordon', 'node-a', 'n')).toEqual(['node-b']);
  });

  it('asks in the namespace of -n, else in that of the kubeconfig', async () => {
    asked.length = 0;
    await candidates('get', '-n', 'other', 'tasks', '');
    await candidates('get', 'tasks', '');
    await candidates('get', 'nodes', '');
    expect(asked).toEqual(['task in other', 'task in work', 'node in all']);
  });

  it('offers nothing when the server does not answer', async () => {
    expect(await complete(program, ['get', 'tasks', ''], () => Promise.reject(new Error('refused')))).toEqual([]);
  });

  it('never offers itself', async () => {
    expect((await candidates('')).some((word) => word.startsWith('_'))).toBe(false);
  });
});

describe('completionScript', () => {
  it('is a script that bash can read', () => {
    const checked = spawnSync('bash', ['-n'], { input: completionScript('bash'), encoding: 'utf8' });
    expect({ status: checked.status, stderr: checked.stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('completes in bash what the command answers', () => {
    const script = `${completionScript('bash')}
taskplane() { printf 'task-a\\ntask-b\\n'; }
compopt() { :; }
COMP_LINE='taskplane get tasks '; COMP_POINT=\${#COMP_LINE}
_taskplane
printf '%s,' "\${COMPREPLY[@]}"`;
    expect(spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout).toBe('task-a,task-b,');
  });

  it('is there for zsh and fish', () => {
    for (const shell of ['zsh', 'fish'] as const) expect(completionScript(shell)).toContain('__complete --');
  });
});

describe('help', () => {
  it('has a sentence and an example for each verb that people use', () => {
    for (const command of program.commands.filter((verb) => !verb.name().startsWith('__') && !['top', 'help'].includes(verb.name()))) {
      let text = '';
      command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
      expect({ verb: command.name(), text }).toEqual({ verb: command.name(), text: expect.stringContaining('Examples:') });
    }
  });
});
