import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../../api/meta.js';
import { isReportOf, markReport } from './own-reports.js';

describe('a change', () => {
  const labels = { a: 'b' };
  const spec = {};
  const status = { phase: 'Running' } as const;
  const before = { apiVersion: 'v', kind: 'Task', metadata: { name: 't', labels, resourceVersion: '7' }, spec, status: { phase: 'Scheduled' } } as KubeObject;
  const after = { ...before, metadata: { name: 't', labels, resourceVersion: '9' }, status } as KubeObject;
  markReport(status, 'me', 'Running', '7');

  it('is its report and nothing else where only the status is new, and this report has made it of what was there before', () => {
    expect(isReportOf('me', before, after)).toBe(true);
  });

  it.each<[string, KubeObject, KubeObject]>([
    ['the status is of somebody else', before, { ...after, status: { ...status } }],
    ['there is no status', before, { ...after, status: undefined }],
    ['something had come before the report', { ...before, metadata: { ...before.metadata, resourceVersion: '6' } }, after],
    ['the metadata has changed, too', before, { ...after, metadata: { ...after.metadata, labels: { ...labels } } }],
    ['the metadata has more', before, { ...after, metadata: { ...after.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }],
    ['the metadata has less', before, { ...after, metadata: { name: 't', resourceVersion: '9' } }],
    ['the spec has changed, too', before, { ...after, spec: { ...spec } }],
  ])('may be more than its report where %s', (_, was, is) => {
    expect(isReportOf('me', was, is)).toBe(false);
  });

  it('is not the report of another, nor of nobody', () => {
    expect(isReportOf('you', before, after)).toBe(false);
    const unnamed = { phase: 'Running' } as const;
    markReport(unnamed, undefined, 'Running', '7');
    expect(isReportOf('me', before, { ...after, status: unnamed })).toBe(false);
  });

  it('of which the reporter does not know what becomes of the task is told', () => {
    for (const phase of ['Lost', 'Evicted'] as const) {
      const lost = { phase: 'Failed' } as const;
      markReport(lost, 'me', phase, '7');
      expect(isReportOf('me', before, { ...after, status: lost })).toBe(false);
    }
  });
});
