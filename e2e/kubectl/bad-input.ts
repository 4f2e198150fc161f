// bad-input.ts: what people get wrong, and what kubectl then prints.

import { expect } from '@jest/globals';
import { expectCode } from '../command.js';
import { area } from './check.js';
import type { Kube } from './kube.js';

const created = async (kube: Kube, text: string, ...flags: string[]): Promise<string> => {
  const { code, stderr } = await kube.run('create -f', [kube.file('bad.yaml', text), ...flags]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.not.stringMatching(/InternalError|unknown reason|panic|goroutine/) });
  return stderr;
};

export const badInput = area('Bad input', (check) => {
  check('create', 'YAML that is none', async (kube) => expect(await created(kube, 'a: [1\n')).toMatch(/error parsing|error converting YAML/));
  check('create', 'an unknown kind', async (kube) => {
    expect(await created(kube, '{"apiVersion":"taskplane.dev/v1","kind":"Tsk","metadata":{"name":"x"}}')).toMatch(/no matches for kind "Tsk" in version "taskplane\.dev\/v1"/);
    expect(await created(kube, '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"}}')).toMatch(/no matches for kind "Deployment" in version "apps\/v1"/);
  });
  check('get', 'an unknown kind', async (kube) => expect(await kube.fails('get frobs')).toBe('error: the server doesn\'t have a resource type "frobs"\n'));
  check('create', 'names and labels out of rule', async (kube) => {
    const text = await created(kube, JSON.stringify(kube.manifest('Bad_Name', 'true', {}, { labels: { 'a b': 'c', ok: 'not ok' } })));
    expect(text).toMatch(/The Task "Bad_Name" is invalid:/);
    expect(text).toMatch(/\* metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of/);
    expect(text).toMatch(/\* metadata\.labels: Invalid value: "a b": name part must consist of/);
    expect(text).toMatch(/\* metadata\.labels(\[ok\])?: Invalid value: "not ok": a valid label must/);
  });
  check('create', 'several mistakes at once', async (kube) => {
    const text = await created(kube, JSON.stringify(kube.manifest('wrong', 'true', { command: ['also'], restartPolicy: 'Sometimes' as never, resources: { requests: { cpu: 'lots' } }, priority: 99_999_999_999 })), '--validate=false');
    for (const field of ['spec.restartPolicy', 'spec.resources.requests', 'spec.priority']) expect(text).toContain(field);
  });
  check('get', 'selectors that are none', async (kube) => {
    expect(await kube.fails('get tasks -l', ['a in b'])).toMatch(/unable to parse/);
    expect(await kube.fails('get tasks --field-selector status.phase')).toMatch(/unable to parse the field selector|invalid selector/);
    expect(await kube.fails('get --raw', [`/apis/taskplane.dev/v1/namespaces/${kube.namespace}/tasks?labelSelector=a%20in%20b`])).toMatch(/BadRequest|unable to parse/);
  });
  check('get --raw', 'paths and tokens that are none', async (kube) => {
    expect(await kube.fails('get --raw /apis/taskplane.dev/v9/tasks')).toMatch(/NotFound|could not find the requested resource/);
    expect(await kube.fails('get --raw /apis/taskplane.dev/v1/tasks?limit=1&continue=bogus')).toMatch(/continue key is not valid/);
    expect(await kube.fails('get --raw /apis/taskplane.dev/v1/tasks?limit=many')).toMatch(/BadRequest|strconv|invalid/);
    expect(await kube.fails('get --raw /apis/taskplane.dev/v1/tasks?resourceVersionMatch=Exact')).toMatch(/resourceVersionMatch is forbidden|Forbidden/);
  });
  check('patch', 'patches that are none', async (kube) => {
    await kube.with(kube.manifest('target', 'true', { nodeSelector: { nowhere: 'yes' } }), 'create');
    expect(await kube.fails('patch task target --type=json -p', ['[{"op":"frob","path":"/spec"}]'])).toMatch(/invalid/i);
    expect(await kube.fails('patch task target --type=json -p', ['[{"op":"remove","path":"/spec/nothing"}]'])).toMatch(/The request is invalid/);
    expect(await kube.fails('patch task target --type=merge -p', ['{"kind":"Other"}'])).toMatch(/BadRequest|does not match|cannot be handled/);
    expect(await kube.fails('patch task target --type=merge -p', ['{"metadata":{"name":"other"}}'])).toMatch(/does not match|field is immutable/);
    expect(await kube.fails('patch task target --type=merge -p', ['{"spec":null}'])).toMatch(/spec: Required value/);
    await kube.ok('delete task target');
  });
  check('create', 'an object that is too large', async (kube) => {
    const huge = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'huge' }, data: { a: 'x'.repeat(1_100_000) } };
    expect(expectCode(await kube.feed(huge, 'create'), 1).stderr).toMatch(/Too long: (must have at most|may not be more than) 1048576/);
    const larger = { ...huge, data: { a: 'x'.repeat(4_000_000) } };
    expect(expectCode(await kube.feed(larger, 'create'), 1).stderr).toMatch(/RequestEntityTooLarge|too large/i);
  });
  check('create', 'in a namespace that is not there', async (kube) => {
    const { stderr } = expectCode(await kube.run('create configmap lost -n nowhere', []), 1);
    expect(stderr).toMatch(/namespaces "nowhere" not found/);
    expect(await kube.ok('get cm -n nowhere -o name')).toBe('');
  });
  check('replace', 'an immutable field', async (kube) => {
    await kube.with({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'fixed' }, immutable: true, data: { a: '1' } }, 'create');
    expect(await kube.fails('patch cm fixed --type=merge -p', ['{"data":{"a":"2"}}'])).toMatch(/The ConfigMap "fixed" is invalid: data: Forbidden: field is immutable when `immutable` is set/);
    await kube.ok('delete cm fixed');
  });
  check('delete', 'a namespace that must stay', async (kube) => expect(await kube.fails('delete namespace default')).toMatch(/Forbidden.*this namespace may not be deleted/));
  check('get', 'without a credential', async (kube) => {
    const { code, stderr } = await kube.run('get tasks', ['--client-certificate=', '--client-key=', '--token=wrong'], { env: { KUBECONFIG: anonymous(kube) } });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/Unauthorized/) });
  });
});

/** The same server without the admin's certificate. */
function anonymous(kube: Kube): string {
  return kube.file('anonymous', `apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: "${kube.cluster.processes.server}", insecure-skip-tls-verify: true}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n`);
}
