import { forbidden } from '../../../api/errors.js';
import { leaseKind, presenceNamespace } from '../../../api/lease.js';
import type { Strategy } from './strategy.js';

export const leaseStrategy: Strategy = {
  refuseWrite({ namespace, name }) {
    if (namespace !== presenceNamespace) return;
    throw forbidden(leaseKind, name, `leases in namespace ${presenceNamespace} stand for the presence of agents; the server writes them`);
  },
};
