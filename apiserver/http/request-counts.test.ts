import { describe, expect, it } from '@jest/globals';
import { RequestCounts } from './request-counts.js';

describe('RequestCounts', () => {
  it('tells requests by code and their durations by bucket, added up', () => {
    const counts = new RequestCounts();
    counts.add('get', 'tasks', 200, 0.0005);
    counts.add('get', 'tasks', 200, 0.002);
    counts.add('get', 'tasks', 404, 60);
    const lines = counts.text().split('\n');
    expect(lines.filter((line) => line.startsWith('apiserver_request_total{'))).toEqual(['apiserver_request_total{verb="get",resource="tasks",code="200"} 2', 'apiserver_request_total{verb="get",resource="tasks",code="404"} 1']);
    const histogram = lines.filter((line) => line.startsWith('apiserver_request_duration_seconds'));
    expect(histogram.slice(0, 3)).toEqual([
      'apiserver_request_duration_seconds_bucket{le="0.0005",verb="get",resource="tasks"} 1',
      'apiserver_request_duration_seconds_bucket{le="0.001",verb="get",resource="tasks"} 1',
      'apiserver_request_duration_seconds_bucket{le="0.0025",verb="get",resource="tasks"} 2',
    ]);
    expect(histogram.slice(-4)).toEqual([
      'apiserver_request_duration_seconds_bucket{le="30",verb="get",resource="tasks"} 2',
      'apiserver_request_duration_seconds_bucket{le="+Inf",verb="get",resource="tasks"} 3',
      'apiserver_request_duration_seconds_sum{verb="get",resource="tasks"} 60.0025',
      'apiserver_request_duration_seconds_count{verb="get",resource="tasks"} 3',
    ]);
  });
});
