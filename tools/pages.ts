import { nodeKind } from '../api/node.js';
import { taskKind } from '../api/task.js';
import { referencePage } from './reference-page.js';

/** Every derived page, by its path from the root of the repository. */
export function pages(): Record<string, string> {
  return {
    'docs/reference/task.md': referencePage(taskKind, ['spec', 'status']),
    'docs/reference/node.md': referencePage(nodeKind, ['spec', 'status']),
  };
}
