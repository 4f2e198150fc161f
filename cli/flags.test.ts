import { describe, expect, it } from '@jest/globals';
import { ApiError, invalid, notFound } from '../api/errors.js';
import { taskKind } from '../api/task.js';
import { TransportError } from '../api/transport.js';
import { parseDurationMs } from './duration.js';
import { failureText } from './failure.js';
import { parseResourceArgs } from './resource-args.js';
import { nodeNameOf, parseCapacity, parseLabels, parseListen } from './serve/flags.js';

describe('flags', () => {
  it('reads addresses', () => {
    expect(parseListen('127.0.0.1:0')).toEqual({ host: '127.0.0.1', port: 0 });
    expect(parseListen('[::1]:7443')).toEqual({ host: '::1', port: 7443 });
    expect(parseListen(':80')).toEqual({ host: '0.0.0.0', port: 80 });
    expect(() => parseListen('7443')).toThrow('expected HOST:PORT');
    expect(() => parseListen('a:99999')).toThrow('expected HOST:PORT');
  });

  it('reads labels and capacity, and names what is wrong', () => {
    expect(parseLabels('zone=a,ssd=')).toEqual({ zone: 'a', ssd: '' });
    expect(parseCapacity('cpu=4,memory=8Gi')).toEqual({ cpu: '4', memory: '8Gi' });
    expect(() => parseLabels('zone')).toThrow('--labels zone: expected NAME=VALUE');
    expect(() => parseCapacity('cpu=many')).toThrow('--capacity cpu=many');
  });

  it('reads durations as Go writes them', () => {
    expect(['30s', '1h30m', '90', '0', '-1s', '1.5s'].map(parseDurationMs)).toEqual([30_000, 5_400_000, 90_000, 0, -1_000, 1_500]);
    expect(() => parseDurationMs('soon')).toThrow('invalid duration');
  });

  it('makes node names of host names', () => {
    expect(['Web_01.Example.com', '---', 'm7'].map(nodeNameOf)).toEqual(['web-01.example.com', 'node-1', 'm7']);
  });
});

describe('parseResourceArgs', () => {
  const read = (...args: string[]): string[] => parseResourceArgs(args).map(({ kind, name }) => `${kind.kind}/${name ?? '*'}`);

  it('understands what kubectl understands', () => {
    expect(read('tk')).toEqual(['Task/*']);
    expect(read('tasks,nodes')).toEqual(['Task/*', 'Node/*']);
    expect(read('task', 'a', 'b')).toEqual(['Task/a', 'Task/b']);
    expect(read('task/a', 'node/m7')).toEqual(['Task/a', 'Node/m7']);
    expect(read('all')).toEqual(['Task/*']);
  });

  it('suggests the kind that was meant', () => {
    expect(() => read('taks')).toThrow('the server doesn\'t have a resource type "taks"; did you mean task');
    expect(() => read('task/a', 'b')).toThrow('KIND/NAME');
  });
});

describe('failureText', () => {
  it('speaks as kubectl does', () => {
    expect(failureText(notFound(taskKind, 'x'))).toBe('Error from server (NotFound): tasks.taskplane.dev "x" not found');
    expect(failureText(invalid(taskKind, 'x', [{ field: 'a', reason: 'FieldValueRequired', message: 'Required value' }]))).toBe('The Task.taskplane.dev "x" is invalid: a: Required value');
    expect(failureText(new ApiError('Conflict', 'no'))).toBe('Error from server (Conflict): no');
  });

  it('says what to run when nobody listens', () => {
    const refused = new TransportError('connect ECONNREFUSED 127.0.0.1:7443');
    expect(failureText(refused, 'https://127.0.0.1:7443')).toBe('The connection to the server 127.0.0.1:7443 was refused - is it running? Start one with `npm start` (or `bin/taskplane dev`), or point KUBECONFIG at another.');
  });
});
