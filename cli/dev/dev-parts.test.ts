import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import picocolors from 'picocolors';
import type { Task } from '../../api/task.js';
import { mergedKubeconfig, writeKubeconfig } from './kubeconfig-file.js';
import { FramePainter, frameLines } from './live-table.js';
import { changeLine, rowOf, TaskRows } from './task-rows.js';

const plain = picocolors.createColors(false);

function task(name: string, phase: string, more: object = {}): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' }, spec: {}, status: { phase, ...more } } as Task;
}

/** A terminal that knows what we send: text, newline, carriage return, cursor up, clear to the end of line and screen. */
function terminal(text: string): string[] {
  const lines: string[] = [''];
  let row = 0;
  let column = 0;
  const escape = String.fromCharCode(27);
  for (const [, control, letter, char] of text.matchAll(new RegExp(`${escape}\\[(\\??[0-9;]*)([A-Za-z])|([\\s\\S])`, 'g'))) {
    if (letter === 'A') row = Math.max(0, row - Number(control || 1));
    else if (letter === 'K') lines[row] = lines[row]!.slice(0, column);
    else if (letter === 'J') lines.splice(row, lines.length, '');
    else if (char === '\n') {
      row++;
      column = 0;
      lines[row] ??= '';
    } else if (char === '\r') column = 0;
    else if (char) {
      lines[row] = lines[row]!.slice(0, column).padEnd(column) + char + lines[row]!.slice(column + 1);
      column++;
    }
  }
  return lines;
}

describe('changeLine', () => {
  it('tells each change once', () => {
    const rows = ['Pending', 'Scheduled', 'Running', 'Running', 'Succeeded'].map((phase) => rowOf(task('hello', phase, phase === 'Pending' ? {} : { nodeName: 'n1', attempt: 1, ...(phase === 'Succeeded' ? { exitCode: 0 } : {}) })));
    const lines = rows.map((row, i) => changeLine(row, rows[i - 1], 'hello'));
    expect(lines).toEqual(['task hello: Pending', 'task hello: Scheduled on n1', 'task hello: Running on n1', undefined, 'task hello: Succeeded (exit code 0)']);
    expect(changeLine(undefined, rows[4], 'hello')).toBe('task hello: deleted');
  });
});

describe('TaskRows', () => {
  it('shows what is under way before what is over, and says how much it hides', () => {
    const rows = new TaskRows();
    for (let i = 0; i < 500; i++) rows.set(rowOf(task(`done-${i}`, 'Succeeded')));
    rows.set(rowOf(task('running', 'Running')));
    const { rows: shown, hidden } = rows.shown(3);
    expect(shown.map(({ key }) => key)).toEqual(['done-498', 'done-499', 'running']);
    expect(hidden).toBe(498);
    expect(rows.counts).toEqual({ active: 1, finished: 500 });
  });
});

describe('the live table', () => {
  const now = Date.UTC(2026, 0, 1, 0, 1);
  const frame = (...tasks: Task[]): string[] => frameLines({ title: 'Taskplane', rows: tasks.map(rowOf), hidden: 0, footer: ['hint'] }, now, 80, plain);

  it('replaces a longer frame by a shorter one and leaves nothing of it', () => {
    const painter = new FramePainter();
    const drawn = painter.paint(frame(task('a', 'Running', { nodeName: 'n1' }), task('b', 'Pending')), 80) + painter.paint(frame(task('a', 'Succeeded', { nodeName: 'n1', exitCode: 0 })), 80);
    expect(terminal(drawn)).toEqual(['Taskplane', '', 'NAME   STATUS      NODE   ATTEMPT   EXIT   DURATION   AGE   MESSAGE', 'a      Succeeded   n1     0         0                 60s', '', 'hint', '']);
  });

  it('never writes a line wider than the terminal', () => {
    const lines = frameLines({ title: 'T', rows: [rowOf(task('x'.repeat(100), 'Running'))], hidden: 0, footer: ['y'.repeat(100)] }, now, 40, plain);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(40);
  });
});

describe('the kubeconfig of dev', () => {
  const ours = 'apiVersion: v1\nkind: Config\nclusters:\n  - name: taskplane\n    cluster: {server: https://x}\nusers:\n  - name: admin\n    user: {token: t}\ncontexts:\n  - name: taskplane\n    context: {cluster: taskplane, user: admin}\ncurrent-context: taskplane\n';

  it('is written whole, for its owner only', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'taskplane-cli-'));
    try {
      const path = join(dir, 'sub/kubeconfig');
      await writeKubeconfig(path, ours);
      expect(readFileSync(path, 'utf8')).toBe(ours);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      writeFileSync(path, 'what is this');
      await expect(writeKubeconfig(path, ours)).rejects.toThrow('is no kubeconfig');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('keeps the other clusters of a file, and takes no name of theirs', () => {
    const theirs = 'clusters:\n  - name: prod\n    cluster: {server: https://prod}\nusers:\n  - name: admin\n    user: {token: secret}\ncontexts: []\ncurrent-context: prod\n';
    const merged = mergedKubeconfig('f', theirs, ours);
    expect(merged).toContain('https://prod');
    expect(merged).toContain('token: secret');
    expect(merged).toContain('name: taskplane-admin');
    expect(merged).toContain('current-context: taskplane');
  });
});
