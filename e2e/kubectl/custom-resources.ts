// custom-resources.ts: a kind that a user brings, from its definition to its end.

import { expect } from '@jest/globals';
import { expectCode } from '../command.js';
import { area, type Check } from './check.js';
import type { Kube } from './kube.js';

interface CronTab {
  metadata: { generation: number; [field: string]: unknown };
  spec: Record<string, unknown>;
  status?: Record<string, unknown>;
}

/** Each kubectl brings a group of its own: definitions belong to no namespace. */
const groupOf = (kube: Kube): string => `${kube.namespace}.example.com`;

const definition = (kube: Kube): object => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `crontabs.${groupOf(kube)}` },
  spec: {
    group: groupOf(kube),
    scope: 'Namespaced',
    names: { plural: 'crontabs', singular: 'crontab', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas', labelSelectorPath: '.status.labelSelector' } },
        additionalPrinterColumns: [
          { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec', description: 'The cron spec' },
          { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
          { name: 'Image', type: 'string', jsonPath: '.spec.image', priority: 1 },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'A table of times',
            properties: {
              spec: {
                type: 'object',
                required: ['cronSpec'],
                'x-kubernetes-validations': [{ rule: "self.replicas <= 5 || has(self.image)", message: 'more than five replicas need an image' }],
                properties: {
                  cronSpec: { type: 'string', pattern: '^(\\S+ ){4}\\S+$', description: 'When it runs' },
                  image: { type: 'string' },
                  replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
                  policy: { type: 'string', enum: ['Allow', 'Forbid'], default: 'Allow' },
                  port: { 'x-kubernetes-int-or-string': true },
                  until: { type: 'string', format: 'date-time' },
                },
              },
              status: { type: 'object', properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' }, conditions: { type: 'array', items: { type: 'object', properties: { type: { type: 'string' }, status: { type: 'string' } } } } } },
            },
          },
        },
      },
    ],
  },
});

const table = (kube: Kube, name: string, spec: object = { cronSpec: '* * * * */5', image: 'my-image' }): object => ({
  apiVersion: `${groupOf(kube)}/v1`, kind: 'CronTab', metadata: { name }, spec,
});
/** As kubectl must name the kind: each has its own. */
const kind = (kube: Kube): string => `crontabs.${groupOf(kube)}`;

export async function prepareCustomResources(kube: Kube): Promise<void> {
  await kube.with(definition(kube), 'create --validate=false');
}

const refused = async (kube: Kube, spec: object): Promise<string> => expectCode(await kube.feed(table(kube, 'refused', spec), 'create --validate=false'), 1).stderr;

/** Needs no feature of recent versions: all of it works with the oldest kubectl. */
const crud: Check['run'] = async (kube) => {
  expect(await kube.with(table(kube, 'mine'), 'create')).toBe(`crontab.${groupOf(kube)}/mine created\n`);
  expect(await kube.ok(`get ${kind(kube)}`)).toMatch(/^NAME\s+SPEC\s+REPLICAS\s+AGE\s*\nmine\s+\* \* \* \* \*\/5\s+1\s+\d+s\s*\n$/);
  expect(await kube.ok(`get ${kind(kube)} -o wide`)).toMatch(/IMAGE[\s\S]*my-image/);
  expect((await kube.object<CronTab>(`${kind(kube)} mine`)).spec).toEqual({ cronSpec: '* * * * */5', image: 'my-image', policy: 'Allow', replicas: 1 });
  expect(await kube.with(table(kube, 'mine', { cronSpec: '0 0 * * *', port: '80%' }), 'apply')).toMatch(/configured/);
  await kube.ok(`patch ${kind(kube)} mine --type=merge -p`, '{"spec":{"policy":"Forbid"}}');
  await kube.ok(`label ${kind(kube)} mine tier=gold`);
  const { metadata, spec } = await kube.object<CronTab>(`${kind(kube)} mine`);
  expect(spec).toMatchObject({ cronSpec: '0 0 * * *', policy: 'Forbid', port: '80%' });
  expect(metadata.generation).toBe(3);
};

export const customResources = area('Custom resources', (check) => {
  check('wait', '--for=condition=Established crd', async (kube) => {
    expect(await kube.ok(`wait crd/crontabs.${groupOf(kube)} --for=condition=Established --timeout=30s`)).toContain('condition met');
    expect(await kube.ok('get crd')).toMatch(new RegExp(`^crontabs\\.${groupOf(kube)}\\s+\\d{4}-`, 'm'));
  });
  check('api-resources', 'with custom kinds', async (kube) => expect(await kube.ok(`api-resources --api-group=${groupOf(kube)}`)).toMatch(/^crontabs\s+ct\s+\S+\/v1\s+true\s+CronTab$/m));
  check('create, get, apply, patch, label', 'of custom resources', crud);
  check('get', 'all, with custom kinds', async (kube) => expect(await kube.ok('get all')).toContain('mine'));
  check('describe', 'custom resource', async (kube) => expect(await kube.ok(`describe ${kind(kube)} mine`)).toMatch(/Cron Spec:\s+0 0 \* \* \*/));
  check('explain', 'custom kind', async (kube) => {
    // The oldest takes the dots of a group for those of a field.
    expect(await kube.ok(`explain crontabs --api-version=${groupOf(kube)}/v1`)).toContain('A table of times');
    expect(await kube.ok(`explain crontabs.spec.cronSpec --api-version=${groupOf(kube)}/v1`)).toContain('When it runs');
  });
  check('create', 'what the schema refuses', async (kube) => {
    expect(await refused(kube, {})).toMatch(/spec\.cronSpec: Required value/);
    const several = await refused(kube, { cronSpec: 'never', replicas: 11, policy: 'Maybe', until: 'tomorrow' });
    expect(several).toMatch(/spec\.cronSpec: Invalid value: "never"/);
    expect(several).toMatch(/spec\.replicas: Invalid value: 11/);
    expect(several).toMatch(/spec\.policy: Unsupported value: "Maybe": supported values: "Allow", "Forbid"/);
    expect(several).toMatch(/spec\.until: Invalid value/);
    expect(await refused(kube, { cronSpec: '0 0 * * *', replicas: 6 })).toContain('more than five replicas need an image');
  });
  check('create', 'unknown fields of custom kinds', async (kube) => {
    const odd = table(kube, 'odd', { cronSpec: '0 0 * * *', bogus: 1 });
    expect(expectCode(await kube.feed(odd, 'create'), 1).stderr).toMatch(/unknown field "(spec\.)?bogus"/);
    await kube.with(odd, 'create --validate=false');
    expect((await kube.object<CronTab>(`${kind(kube)} odd`)).spec['bogus']).toBeUndefined();
    await kube.ok(`delete ${kind(kube)} odd`);
  });
  check('scale', '', async (kube) => {
    expect(await kube.ok(`scale ${kind(kube)} mine --replicas=3`)).toMatch(/mine scaled\n/);
    expect((await kube.object<CronTab>(`${kind(kube)} mine`)).spec['replicas']).toBe(3);
    expect(await kube.ok(`scale ${kind(kube)} mine --replicas=4 --current-replicas=3`)).toMatch(/mine scaled\n/);
    expect(await kube.fails(`scale ${kind(kube)} mine --replicas=5 --current-replicas=3`)).toMatch(/[Ee]xpected replicas to be 3, was 4/);
    expect(await kube.fails(`scale ${kind(kube)} mine --replicas=11`)).toMatch(/Invalid/);
    await kube.task('single', 'true');
    expect(await kube.fails('scale task single --replicas=2')).toMatch(/could not find the requested resource|NotFound|not found|no objects passed to scale/);
  });
  check('patch', '--subresource=status of custom resources', async (kube) => {
    const before = (await kube.object<CronTab>(`${kind(kube)} mine`)).metadata.generation;
    await kube.ok(`patch ${kind(kube)} mine --subresource=status --type=merge -p`, '{"status":{"replicas":2,"conditions":[{"type":"Done","status":"True"}]},"spec":{"cronSpec":"ignored"}}');
    const { metadata, spec, status } = await kube.object<CronTab>(`${kind(kube)} mine`);
    expect({ generation: metadata.generation, cronSpec: spec['cronSpec'], replicas: status?.['replicas'] }).toEqual({ generation: before, cronSpec: '0 0 * * *', replicas: 2 });
    expect(await kube.ok(`wait ${kind(kube)}/mine --for=condition=Done --timeout=10s`)).toContain('condition met');
  }, { since: 24 });
  check('apply --server-side', 'of custom resources', async (kube) => {
    await kube.with(table(kube, 'owned', { cronSpec: '0 0 * * *', image: 'one' }), 'apply --server-side --field-manager=first');
    expect(expectCode(await kube.feed(table(kube, 'owned', { cronSpec: '1 0 * * *' }), 'apply --server-side --field-manager=second'), 1).stderr).toMatch(/conflict with "first".*: \.spec\.cronSpec/);
    await kube.with(table(kube, 'owned', { cronSpec: '0 0 * * *' }), 'apply --server-side --field-manager=first');
    expect((await kube.object<CronTab>(`${kind(kube)} owned`)).spec['image']).toBeUndefined();
    await kube.ok(`delete ${kind(kube)} owned`);
  });
  check('get', '-w of custom resources', async (kube) => {
    const watch = kube.start(`get ${kind(kube)} -w --no-headers`);
    try {
      await watch.line(/^mine\s/);
      await kube.with(table(kube, 'watched'), 'create');
      await watch.line(/^watched\s/);
    } finally {
      await watch.kill();
    }
    await kube.ok(`delete ${kind(kube)} watched`);
  });
  check('create', 'a definition that is not structural', async (kube) => {
    const broken = JSON.parse(JSON.stringify(definition(kube)).replaceAll('crontabs', 'brokens').replaceAll('CronTab', 'Broken').replaceAll('crontab', 'broken').replace('"type":"object","description":"A table of times"', '"description":"A table of times"')) as object;
    expect(expectCode(await kube.feed(broken, 'create --validate=false'), 1).stderr).toMatch(/openAPIV3Schema\.type: (Required|Invalid) value/);
  });
  check('delete', 'crd, with its resources', async (kube) => {
    expect(await kube.ok(`delete crd crontabs.${groupOf(kube)} --timeout=60s`)).toContain('deleted');
    expect(await kube.fails(`get ${kind(kube)}`)).toMatch(/doesn't have a resource type|could not find the requested resource/);
    await kube.with(definition(kube), 'create --validate=false');
    await kube.ok(`wait crd/crontabs.${groupOf(kube)} --for=condition=Established --timeout=30s`);
    expect(await kube.ok(`get ${kind(kube)} -o name`)).toBe('');
    await kube.ok(`delete crd crontabs.${groupOf(kube)} --timeout=60s`);
  });
});
