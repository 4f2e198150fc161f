// custom-resource-definition.ts: a definition's kind is served from the write that finds its names free, and no object outlives its definition.

import { dequal } from 'dequal';
import { customResourceCleanupFinalizer, customResourceDefinitionKind, type CustomResourceDefinition } from '../../../api/custom-resource-definition.js';
import { settledStatus, terminatingStatus } from '../../../api/definition-status.js';
import type { FieldProblem } from '../../../api/errors.js';
import type { KindDefinition } from '../../../api/kind.js';
import { checkStructural, columnProblems, scaleProblems, selectableProblems } from '../../../api/structural/index.js';
import type { Strategy } from './strategy.js';

export const customResourceDefinitionStrategy: Strategy = {
  isAwaited: true,
  problems: (object, stored) => versionsProblems(object as CustomResourceDefinition, stored as CustomResourceDefinition | undefined),
  settle(object, { now, all }) {
    const crd = object as CustomResourceDefinition;
    crd.status = settledStatus(crd, all(customResourceDefinitionKind as unknown as KindDefinition) as Iterable<CustomResourceDefinition>, now);
  },
  beginDelete(next, now) {
    const crd = next as CustomResourceDefinition;
    const { finalizers = [] } = crd.metadata;
    if (!finalizers.includes(customResourceCleanupFinalizer)) crd.metadata.finalizers = [...finalizers, customResourceCleanupFinalizer];
    crd.status = terminatingStatus(crd.status, now);
  },
};

/** What cannot be served of the versions; one that is as it was stays, whatever the rules have become. */
function versionsProblems({ spec }: CustomResourceDefinition, stored: CustomResourceDefinition | undefined): FieldProblem[] {
  return spec.versions.flatMap((version, index) => {
    if (stored?.spec.versions.some((before) => dequal(before, version))) return [];
    const field = `spec.versions[${index}]`;
    const { schema, additionalPrinterColumns, selectableFields, subresources } = version;
    const openAPIV3Schema = schema?.openAPIV3Schema;
    return [
      ...(openAPIV3Schema === undefined ? [] : checkStructural(openAPIV3Schema, `${field}.schema.openAPIV3Schema`)),
      ...columnProblems(additionalPrinterColumns, `${field}.additionalPrinterColumns`),
      ...selectableProblems(selectableFields, openAPIV3Schema, `${field}.selectableFields`),
      ...scaleProblems(subresources?.scale, `${field}.subresources.scale`),
    ];
  });
}
