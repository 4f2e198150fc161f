import { describe, expect, it } from '@jest/globals';
import { encodeStatus, statusOf, statusOfReset } from './command-status.js';

describe('how a command ended, as an agent tells it', () => {
  it('is handed on when it is a Status', () => {
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason: 'NonZeroExitCode', message: 'command terminated with exit code 3' };
    expect(statusOf(Buffer.from(JSON.stringify(status)))).toEqual(status);
    expect(statusOfReset(new Error(JSON.stringify({ ...status, reason: 'BadRequest' })))).toMatchObject({ reason: 'BadRequest', message: status.message, code: 500 });
    expect(statusOfReset(new Error('gone'))).toMatchObject({ status: 'Failure', reason: 'InternalError', message: 'gone' });
  });

  it.each(['', 'null', '7', '[]', '{}', '{"status":"Fine"}', '{"status":"Failure","message":7}', '{"status":"Failure","message":{"a":1}}'])('is a failure that can be told, when it is %j', (text) => {
    for (const status of [statusOf(Buffer.from(text)), statusOfReset(new Error(text))]) {
      expect(status).toMatchObject({ status: 'Failure', message: expect.any(String) });
      for (const asJson of [true, false]) expect(encodeStatus(status, asJson).length).toBeGreaterThan(asJson ? 0 : -1);
    }
  });
});
