// Discovery: what is served, in every form in which clients ask for it, and the schemas that go with it.

import { expect, it } from '@jest/globals';
import type { ConformanceCluster } from './cluster.js';
import type { Json } from './wire.js';

interface ApiResource {
  name: string;
  namespaced: boolean;
  kind: string;
  verbs: string[];
  group?: string;
}

export function discovery(cluster: () => ConformanceCluster): void {
  const aggregated = (version: string): string => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  const groupVersions = async (): Promise<string[]> => {
    const groups = (await cluster().wire.get('/apis')).json['groups'] as { versions: { groupVersion: string }[] }[];
    return ['/api/v1', ...groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => `/apis/${groupVersion}`))];
  };

  it.each(['v2', 'v2beta1'])('is one document in the aggregated form %s', async (version) => {
    for (const path of ['/api', '/apis']) {
      const { json, headers } = await cluster().wire.get(path, {}, { accept: `${aggregated(version)},application/json` });
      expect([headers['content-type'], json.kind, json.apiVersion]).toEqual([aggregated(version), 'APIGroupDiscoveryList', `apidiscovery.k8s.io/${version}`]);
      for (const group of json.items!) {
        for (const { resources } of group['versions'] as { resources: { responseKind: object; scope: string; verbs: string[] }[] }[]) {
          for (const resource of resources) expect(resource).toMatchObject({ responseKind: { kind: expect.any(String) }, scope: expect.stringMatching(/^(Namespaced|Cluster)$/), verbs: expect.any(Array) });
        }
      }
    }
  });

  it('promises nothing that is not there: what can be listed and watched can be', async () => {
    const { wire } = cluster();
    for (const root of await groupVersions()) {
      const { json } = await wire.get(root);
      expect([json.kind, json['groupVersion']]).toEqual(['APIResourceList', root.replace(/^\/apis?\//, '')]);
      for (const { name, verbs, kind } of json['resources'] as ApiResource[]) {
        if (!verbs.includes('list')) continue;
        const list = await wire.get(`${root}/${name}`);
        expect([root, name, list.status, list.json.kind]).toEqual([root, name, 200, `${kind}List`]);
        if (!verbs.includes('watch')) continue;
        const watch = await wire.watch(`${root}/${name}`, { resourceVersion: list.json.metadata.resourceVersion! });
        expect([root, name, watch.status]).toEqual([root, name, 200]);
        watch.stop();
      }
    }
  });

  it('is sent once to who has it', async () => {
    const { wire } = cluster();
    const first = await wire.get('/apis', {}, { accept: aggregated('v2') });
    const again = await wire.get('/apis', {}, { accept: aggregated('v2'), 'if-none-match': first.headers['etag']! });
    expect([again.status, again.text]).toEqual([304, '']);
  });

  it('has a schema for each kind that can be created, which leaves validation to the server', async () => {
    const { wire } = cluster();
    const index = (await wire.get('/openapi/v3')).json['paths'] as Record<string, { serverRelativeURL: string }>;
    for (const root of await groupVersions()) {
      const entry = index[root.slice(1)];
      const resources = ((await wire.get(root)).json['resources'] as ApiResource[]).filter(({ name, verbs }) => !name.includes('/') && verbs.includes('patch'));
      if (resources.length === 0) continue;
      const url = new URL(entry!.serverRelativeURL, 'https://server');
      const document = (await wire.get(url.pathname, Object.fromEntries(url.searchParams))).json as Json & { paths: Record<string, Record<string, { parameters?: { name: string }[]; 'x-kubernetes-group-version-kind'?: { kind: string } }>> };
      expect(String(document['openapi'])).toMatch(/^3\./);
      for (const { kind } of resources) {
        const patches = Object.values(document.paths).map(({ patch }) => patch).filter((patch) => patch?.['x-kubernetes-group-version-kind']?.kind === kind);
        expect([kind, patches.some((patch) => patch!.parameters?.some(({ name }) => name === 'fieldValidation'))]).toEqual([kind, true]);
      }
    }
    const v2 = await wire.get('/openapi/v2', {}, { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' });
    expect([v2.status, v2.headers['content-type']]).toEqual([200, expect.stringContaining('protobuf')]);
  });

  it('says which version of Kubernetes a client may take it for', async () => {
    const { json } = await cluster().wire.get('/version');
    expect(json).toMatchObject({ major: '1', minor: expect.stringMatching(/^3\d$/), gitVersion: expect.stringMatching(/^v1\.3\d\.\d+/), platform: expect.any(String) });
  });
}
