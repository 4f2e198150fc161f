import { describe, expect, it } from '@jest/globals';
import { genericKind } from './generic-kind.js';
import type { KindDefinition } from './kind.js';
import { KindRegistry } from './kind-registry.js';
import { kinds } from './kinds.js';
import { compareVersions } from './kube-version.js';

const kind = (version: string, plural = 'things', group = 'example.com'): KindDefinition => genericKind({ group, version, plural, kind: 'Thing', namespaced: true });

describe('the registry of kinds', () => {
  it('finds the built-in kinds always, and those of users while they are there', () => {
    const registry = new KindRegistry(kinds);
    const thing = kind('v1');
    registry.setCustom([thing]);
    expect(registry.find('example.com', 'v1', 'things')).toBe(thing);
    registry.setCustom([]);
    expect(registry.find('example.com', 'v1', 'things')).toBeUndefined();
    expect(registry.find('taskplane.dev', 'v1', 'tasks')?.kind).toBe('Task');
    expect(registry.revision).toBe(2);
  });

  it('keeps the built-in kinds first, then groups by name and versions by preference', () => {
    const registry = new KindRegistry(kinds);
    registry.setCustom([kind('v1beta1', 'b', 'z.io'), kind('v1', 'b', 'z.io'), kind('v1', 'a', 'z.io'), kind('v2', 'x', 'a.io')]);
    expect(registry.kinds.slice(0, kinds.length)).toEqual(kinds);
    expect(registry.kinds.slice(kinds.length).map(({ group, version, plural }) => `${group}/${version}/${plural}`)).toEqual(['a.io/v2/x', 'z.io/v1/a', 'z.io/v1/b', 'z.io/v1beta1/b']);
  });

  it('lets no definition take the place of a built-in kind', () => {
    const registry = new KindRegistry(kinds);
    registry.setCustom([kind('v1', 'tasks', 'taskplane.dev')]);
    expect(registry.find('taskplane.dev', 'v1', 'tasks')?.kind).toBe('Task');
  });

  it('tells once who works with a kind that is replaced, at once when it already is, and nobody of built-in ones', () => {
    const registry = new KindRegistry(kinds);
    const told: string[] = [];
    const [old, stays] = [kind('v1'), kind('v1', 'others')];
    registry.setCustom([old, stays]);
    registry.onRetired(old, () => told.push('old'));
    registry.onRetired(old, () => told.push('forgotten'))();
    registry.onRetired(stays, () => told.push('stays'));
    registry.onRetired(kinds[0]!, () => told.push('built in'));
    registry.setCustom([kind('v1'), stays]);
    registry.setCustom([stays]);
    expect(told).toEqual(['old']);
    registry.onRetired(old, () => told.push('late'));
    expect(told).toEqual(['old', 'late']);
  });
});

describe('versions', () => {
  it('stand in the order of Kubernetes', () => {
    const sorted = ['v10', 'v2', 'v1', 'v11beta2', 'v10beta3', 'v3beta1', 'v12alpha1', 'v11alpha2', 'foo1', 'foo10'];
    expect(sorted.toReversed().sort(compareVersions)).toEqual(sorted);
  });
});
