import { describe, expect, it } from '@jest/globals';
import { userOfSubject } from './tls-user.js';

describe('userOfSubject', () => {
  it('takes the common name for the user and organisations for groups', () => {
    expect(userOfSubject('O=system:nodes\nCN=system:node:n1')).toEqual({ name: 'system:node:n1', groups: ['system:nodes'] });
    expect(userOfSubject('O=a b\nO=b,c=d\nOU=other\nCN=me')).toEqual({ name: 'me', groups: ['a b', 'b,c=d'] });
    expect(userOfSubject('CN=me')).toEqual({ name: 'me', groups: [] });
  });

  it.each([undefined, '', 'O=system:masters', 'CN=', 'CN=a\nCN=b', 'CN=a + O=system:masters', 'CN=a\\0AO=system:masters', 'CN="a"', 'CN=\u00e9', 'CN=a\n\nO=b', 'CN=a\rO=b', 'nothing'])('leaves %j to a reader of the whole certificate', (subject) => {
    expect(userOfSubject(subject)).toBeUndefined();
  });
});
