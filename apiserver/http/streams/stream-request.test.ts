import { describe, expect, it } from '@jest/globals';
import { podKind } from '../../../api/pod.js';
import { taskKind, type Task } from '../../../api/task.js';
import type { KindDefinition } from '../../../api/kind.js';
import { parsePath, type ResourceRoute } from '../route.js';
import { commandOptions, forwardedPorts, nodeOfRunning, streamRequestOf, type StreamRequest, type StreamSubresource } from './stream-request.js';
import { chooseTransport } from './upgrade-offer.js';

const asked = (subresource: StreamSubresource, kind: unknown = podKind): StreamRequest => ({ kind: kind as KindDefinition, namespace: 'default', name: 'a', subresource });
const task = (status: Task['status']): Task => ({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'a', namespace: 'default' }, spec: {}, status }) as Task;

describe('a path of a stream', () => {
  it.each<[string, string | undefined]>([
    ['/api/v1/namespaces/n/pods/a/exec', 'pods n/a exec'],
    ['/api/v1/namespaces/n/pods/a/attach', 'pods n/a attach'],
    ['/api/v1/namespaces/n/pods/a/portforward', 'pods n/a portforward'],
    ['/apis/taskplane.dev/v1/namespaces/n/tasks/a/exec', 'tasks n/a exec'],
    ['/api/v1/pods/a/exec', undefined],
    ['/api/v1/namespaces/n/pods/a/log', undefined],
    ['/api/v1/namespaces/n/secrets/a/exec', undefined],
    ['/api/v1/nodes/a/tunnel', undefined],
  ])('%s is %s', (path, expected) => {
    const found = streamRequestOf(parsePath(path) as ResourceRoute);
    expect(found && `${found.kind.plural} ${found.namespace}/${found.name} ${found.subresource}`).toBe(expected);
  });
});

describe('what a command asks for', () => {
  const options = (query: string, subresource: StreamSubresource = 'exec') => commandOptions(asked(subresource), new URLSearchParams(query));

  it('is its words in order, and its streams', () => {
    expect(options('command=sh&command=-c&command=a+b&stdin=true&stdout=true&stderr=false&container=task')).toEqual({ command: ['sh', '-c', 'a b'], stdin: true, stdout: true, stderr: false, tty: false });
    expect(options('stdout=1&command=ignored', 'attach')).toMatchObject({ command: [], stdout: true });
  });

  it('is one output when there is a terminal', () => {
    expect(options('command=sh&stdout=true&stderr=true&tty=true')).toMatchObject({ stdout: true, stderr: false, tty: true });
  });

  it.each([
    ['stdout=true', 'exec', 'you must specify at least one command for the container'],
    ['stdout=true&command=', 'exec', 'you must specify at least one command for the container'],
    ['command=ls', 'exec', 'you must specify at least 1 of stdin, stdout, stderr'],
    ['', 'attach', 'you must specify at least 1 of stdin, stdout, stderr'],
    ['command=ls&stdout=true&container=other', 'exec', 'container other is not valid for pod a'],
    ['command=ls&stdout=perhaps', 'exec', 'the query parameter stdout must be true or false, not "perhaps"'],
    ['command=l%00s&stdout=true', 'exec', 'a command cannot hold the byte 0'],
  ] as const)('is refused: %s', (query, subresource, message) => {
    expect(() => options(query, subresource)).toThrow(message);
  });
});

describe('the ports of a URL', () => {
  it('may be repeated, or divided by commas', () => {
    expect(forwardedPorts(new URLSearchParams('ports=80&ports=81,82'))).toEqual([80, 81, 82]);
  });

  it.each([['', 'is required'], ['ports=0', '1 to 65535'], ['ports=65536', '1 to 65535'], ['ports=http', '1 to 65535'], ['ports=-1', '1 to 65535'], [`ports=${'1,'.repeat(101)}`, 'at most 100 ports']])('are refused: %s', (query, message) => {
    expect(() => forwardedPorts(new URLSearchParams(query))).toThrow(message);
  });
});

describe('a task', () => {
  it('that runs has a node to go to', () => {
    expect(nodeOfRunning(task({ phase: 'Running', nodeName: 'n' }), asked('exec'))).toBe('n');
  });

  it.each<[string, Task['status'], StreamSubresource, unknown, string]>([
    ['has no node', {}, 'exec', podKind, 'pod a does not have a host assigned'],
    ['has no node, asked for as a task', {}, 'exec', taskKind, 'task a does not have a host assigned'],
    ['has not started', { phase: 'Scheduled', nodeName: 'n' }, 'exec', podKind, 'container "task" in pod "a" is waiting to start: Scheduled'],
    ['has not started, for a port', { phase: 'Scheduled', nodeName: 'n' }, 'portforward', podKind, 'unable to forward port because pod is not running. Current status=Scheduled'],
    ['has ended', { phase: 'Failed', nodeName: 'n' }, 'exec', podKind, 'cannot exec into a container in a completed pod; current phase is Failed'],
    ['has ended, for attach', { phase: 'Succeeded', nodeName: 'n' }, 'attach', podKind, 'cannot attach a container in a completed pod; current phase is Succeeded'],
    ['has ended, for a port', { phase: 'Succeeded', nodeName: 'n' }, 'portforward', podKind, 'unable to forward port because pod is not running. Current status=Succeeded'],
    ['is on a node that is lost', { phase: 'Unknown', nodeName: 'n' }, 'exec', podKind, 'is waiting to start: Unknown'],
  ])('that %s has none', (_what, status, subresource, kind, message) => {
    expect(() => nodeOfRunning(task(status), asked(subresource, kind))).toThrow(message);
  });
});

describe('the protocol', () => {
  const chosen = (subresource: StreamSubresource, headers: Record<string, string>, method = 'GET'): string => {
    const choice = chooseTransport({ method, headers }, subresource);
    return 'protocol' in choice ? `${choice.transport} ${typeof choice.protocol === 'string' ? choice.protocol : choice.protocol.name}` : choice.transport;
  };
  const webSocket = (protocols?: string): Record<string, string> => ({ upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13', ...(protocols === undefined ? {} : { 'sec-websocket-protocol': protocols }) });
  const spdy = (protocols: string): Record<string, string> => ({ upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocols });

  it.each<[StreamSubresource, Record<string, string>, string]>([
    ['exec', webSocket('v5.channel.k8s.io'), 'web-socket v5.channel.k8s.io'],
    ['exec', webSocket('channel.k8s.io, v4.channel.k8s.io,v5.channel.k8s.io'), 'web-socket v5.channel.k8s.io'],
    ['exec', webSocket('base64.channel.k8s.io'), 'web-socket base64.channel.k8s.io'],
    ['exec', webSocket(), 'web-socket undefined'],
    ['attach', { ...webSocket(), upgrade: 'WebSocket' }, 'web-socket undefined'],
    ['exec', spdy('v5.channel.k8s.io,v4.channel.k8s.io, v3.channel.k8s.io'), 'spdy v4.channel.k8s.io'],
    ['exec', spdy('channel.k8s.io'), 'spdy channel.k8s.io'],
    ['portforward', spdy('portforward.k8s.io'), 'spdy portforward.k8s.io'],
    ['portforward', webSocket('SPDY/3.1+portforward.k8s.io'), 'tunnelled-spdy'],
    ['portforward', webSocket('v4.channel.k8s.io'), 'web-socket v4.channel.k8s.io'],
  ])('of %s with %j is %s', (subresource, headers, expected) => {
    expect(chosen(subresource, headers, headers['upgrade'] === 'SPDY/3.1' ? 'POST' : 'GET')).toBe(expected);
  });

  it.each<[string, StreamSubresource, Record<string, string>, string, number]>([
    ['none that we know', 'exec', webSocket('v9.channel.k8s.io'), 'unable to negotiate protocol: client supports [v9.channel.k8s.io], server accepts [v5.channel.k8s.io', 403],
    ['none that we know over SPDY', 'exec', spdy('v9.channel.k8s.io'), 'server accepts [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io]', 403],
    ['none over SPDY', 'exec', { upgrade: 'SPDY/3.1' }, 'X-Stream-Protocol-Version is required', 400],
    ['a tunnel for exec', 'exec', webSocket('SPDY/3.1+portforward.k8s.io'), 'unable to negotiate protocol', 403],
    ['a handshake without a key', 'exec', { ...webSocket(), 'sec-websocket-key': 'x' }, 'Sec-WebSocket-Key', 400],
    ['a handshake of no version', 'exec', { upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }, 'Sec-WebSocket-Version', 400],
    ['something else altogether', 'exec', { upgrade: 'h2c' }, 'this server speaks websocket and SPDY/3.1 here, not "h2c"', 400],
  ])('is refused: %s', (_what, subresource, headers, message, code) => {
    expect(() => chosen(subresource, headers)).toThrow(expect.objectContaining({ message: expect.stringContaining(message) as unknown as string, code }));
  });
});
