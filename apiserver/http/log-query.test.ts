import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../../api/errors.js';
import { logQuery } from './log-query.js';

describe('the parameters of a log', () => {
  const read = (query: string) => logQuery(new URLSearchParams(query), 'web');

  it('are those of Kubernetes', () => {
    expect(read('follow=true&previous=1&timestamps&tailLines=0&limitBytes=9&sinceSeconds=3&container=task&insecureSkipTLSVerifyBackend=true&stream=All')).toEqual({
      follow: true, previous: true, timestamps: true, tailLines: 0, limitBytes: 9, sinceSeconds: 3,
    });
    expect(read('sinceTime=2026-01-01T01:00:00.5%2B01:00')).toEqual({ follow: false, previous: false, sinceMs: Date.UTC(2026, 0, 1) + 500 });
  });

  it.each<[string, number, string]>([
    ['tailLines=-1', 422, 'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['limitBytes=0', 422, 'PodLogOptions "web" is invalid: limitBytes: Invalid value: 0: must be greater than 0'],
    ['sinceSeconds=0', 422, 'PodLogOptions "web" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0'],
    ['sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z', 422, 'at most one of `sinceTime` or `sinceSeconds` may be specified'],
    ['tailLines=-2&limitBytes=-1', 422, '[tailLines: Invalid value: -2: must be greater than or equal to 0, limitBytes: Invalid value: -1: must be greater than 0]'],
    ['container=app', 400, 'container app is not valid for pod web'],
    ['tailLines=ten', 400, 'parsing "ten": invalid syntax'],
    ['tailLines=99999999999999999999', 400, 'value out of range'],
    ['sinceTime=yesterday', 400, 'parsing time "yesterday"'],
    ['follow=perhaps', 400, 'follow must be true or false'],
    ['attempt=0', 400, 'attempts are counted from 1'],
  ])('%s is refused', (query, code, message) => {
    let error: unknown;
    try {
      read(query);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
  });
});
