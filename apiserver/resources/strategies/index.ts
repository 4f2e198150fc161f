import { customResourceDefinitionKind } from '../../../api/custom-resource-definition.js';
import type { KindDefinition } from '../../../api/kind.js';
import { leaseKind } from '../../../api/lease.js';
import { namespaceKind } from '../../../api/namespace.js';
import { nodeKind } from '../../../api/node.js';
import { taskKind } from '../../../api/task.js';
import { customResourceDefinitionStrategy } from './custom-resource-definition.js';
import { leaseStrategy } from './lease.js';
import { namespaceStrategy } from './namespace.js';
import { nodeStrategy } from './node.js';
import type { Strategy } from './strategy.js';
import { taskStrategy } from './task.js';

const keyOf = ({ group, plural }: Pick<KindDefinition, 'group' | 'plural'>): string => `${group}/${plural}`;

const strategies = new Map<string, Strategy>([
  [keyOf(customResourceDefinitionKind), customResourceDefinitionStrategy],
  [keyOf(leaseKind), leaseStrategy],
  [keyOf(namespaceKind), namespaceStrategy],
  [keyOf(nodeKind), nodeStrategy],
  [keyOf(taskKind), taskStrategy],
]);

const plain: Strategy = {};

/** What has been found by name, by the kind itself. */
const found = new WeakMap<Pick<KindDefinition, 'group' | 'plural'>, Strategy>();

export function strategyOf(kind: Pick<KindDefinition, 'group' | 'plural'>): Strategy {
  let strategy = found.get(kind);
  if (!strategy) found.set(kind, (strategy = strategies.get(keyOf(kind)) ?? plain));
  return strategy;
}
