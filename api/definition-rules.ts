// definition-rules.ts: what makes a CustomResourceDefinition valid, in the words of Kubernetes.
// https://github.com/kubernetes/apiextensions-apiserver/blob/master/pkg/apis/apiextensions/validation/validation.go

import { conditionIs } from './conditions.js';
import type { CustomResourceDefinition, DefinitionNames, DefinitionVersion } from './definition-shape.js';
import { duplicate, forbiddenField, invalidValue, notSupported, required, type FieldProblem } from './errors.js';
import { subdomainProblem } from './names.js';

/** Groups that the server itself has: their kinds cannot be added to. */
export const reservedGroups: ReadonlySet<string> = new Set([
  'taskplane.dev', 'apiextensions.k8s.io', 'coordination.k8s.io', 'events.k8s.io', 'metrics.k8s.io', 'authentication.k8s.io', 'authorization.k8s.io',
]);
const approvalAnnotation = 'api-approved.kubernetes.io';
const scopes = ['Cluster', 'Namespaced'];
const selectableFieldsMax = 8;

const dnsLabel = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

/** Why `name` is no DNS-1035 label, or undefined. */
function dns1035Problem(name: string): string | undefined {
  if (name.length > 63) return 'must be no more than 63 characters';
  if (dnsLabel.test(name)) return undefined;
  return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
}

/** In place. */
export function applyDefinitionDefaults({ spec }: CustomResourceDefinition): void {
  const { names } = spec;
  names.singular ||= names.kind.toLowerCase();
  names.listKind ||= `${names.kind}List`;
  spec.conversion ??= { strategy: 'None' };
  spec.conversion.strategy ||= 'None';
}

/** Problems beyond the shape, which is right. */
export function definitionProblems(crd: CustomResourceDefinition, old?: CustomResourceDefinition): FieldProblem[] {
  const { spec, metadata } = crd;
  const problems: FieldProblem[] = [];
  const { name = '' } = metadata;
  if (name !== '' && name !== `${spec.names.plural}.${spec.group}`) problems.push(invalidValue('metadata.name', name, 'must be spec.names.plural+"."+spec.group'));
  problems.push(...groupProblems(crd));
  if (spec.scope === '') problems.push(required('spec.scope'));
  else if (!scopes.includes(spec.scope)) problems.push(notSupported('spec.scope', spec.scope, scopes));
  if (spec.preserveUnknownFields) {
    problems.push(invalidValue('spec.preserveUnknownFields', true, 'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead'));
  }
  problems.push(...conversionProblems(crd), ...namesProblems(spec.names), ...versionsProblems(spec.versions));
  if (old) problems.push(...storedVersionsProblems(crd));
  return problems;
}

function groupProblems({ spec: { group }, metadata }: CustomResourceDefinition): FieldProblem[] {
  if (group === '') return [required('spec.group')];
  const problem = subdomainProblem(group);
  if (problem) return [invalidValue('spec.group', group, problem)];
  if (!group.includes('.')) return [invalidValue('spec.group', group, 'should be a domain with at least one dot')];
  if (reservedGroups.has(group)) return [invalidValue('spec.group', group, 'the kinds of this group are those of the server; choose a domain of your own')];
  const isProtected = ['k8s.io', 'kubernetes.io'].some((domain) => group === domain || group.endsWith(`.${domain}`));
  if (!isProtected) return [];
  const help = `protected groups must have approval annotation "${approvalAnnotation}", see https://github.com/kubernetes/enhancements/pull/1111`;
  const approval = metadata.annotations?.[approvalAnnotation];
  const field = `metadata.annotations[${approvalAnnotation}]`;
  if (approval === undefined) return [required(field, help)];
  return approval.startsWith('unapproved') || URL.canParse(approval) ? [] : [invalidValue(field, approval, help)];
}

function conversionProblems({ spec: { conversion } }: CustomResourceDefinition): FieldProblem[] {
  if (conversion === undefined || conversion.strategy === 'None') {
    return conversion?.webhook ? [forbiddenField('spec.conversion.webhook', 'should not be set when strategy is not set to Webhook')] : [];
  }
  if (conversion.strategy === 'Webhook') {
    return [invalidValue('spec.conversion.strategy', 'Webhook', 'this server calls no webhooks; use None: versions then differ in apiVersion and in the fields that their schemas know')];
  }
  return [notSupported('spec.conversion.strategy', conversion.strategy, ['None'])];
}

function namesProblems(names: DefinitionNames): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const judge = (field: string, value: string | undefined, mixedCase = false): void => {
    if (!value) return void problems.push(required(`spec.names.${field}`));
    const problem = dns1035Problem(mixedCase ? value.toLowerCase() : value);
    if (problem) problems.push(invalidValue(`spec.names.${field}`, value, mixedCase ? `may have mixed case, but should otherwise match: ${problem}` : problem));
  };
  judge('plural', names.plural);
  judge('singular', names.singular);
  judge('kind', names.kind, true);
  judge('listKind', names.listKind, true);
  names.shortNames?.forEach((shortName, index) => judge(`shortNames[${index}]`, shortName));
  if (names.kind && names.kind === names.listKind) problems.push(invalidValue('spec.names.listKind', names.listKind, 'kind and listKind may not be the same'));
  names.categories?.forEach((category, index) => judge(`categories[${index}]`, category));
  return problems;
}

function versionsProblems(versions: readonly DefinitionVersion[]): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const names = versions.map(({ name }) => name);
  if (new Set(names).size < names.length) problems.push(invalidValue('spec.versions', names, 'must contain unique version names'));
  if (versions.filter(({ storage }) => storage).length !== 1) problems.push(invalidValue('spec.versions', names, 'must have exactly one version marked as storage version'));
  versions.forEach((version, index) => problems.push(...versionProblems(version, `spec.versions[${index}]`)));
  return problems;
}

function versionProblems(version: DefinitionVersion, field: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { name, deprecated, deprecationWarning, schema, selectableFields = [] } = version;
  const nameProblem = dns1035Problem(name);
  if (nameProblem) problems.push(invalidValue(`${field}.name`, name, nameProblem));
  if (deprecationWarning !== undefined) problems.push(...warningProblems(deprecationWarning, deprecated ?? false, `${field}.deprecationWarning`));
  if (!schema?.openAPIV3Schema) problems.push(required(`${field}.schema.openAPIV3Schema`, 'schemas are required'));
  if (selectableFields.length > selectableFieldsMax) {
    problems.push({ field: `${field}.selectableFields`, reason: 'FieldValueTooMany', message: `Too many: ${selectableFields.length}: must have at most ${selectableFieldsMax} items` });
  }
  return problems;
}

function warningProblems(warning: string, deprecated: boolean, field: string): FieldProblem[] {
  if (!deprecated) return [invalidValue(field, warning, 'can only be set for deprecated versions')];
  if (warning === '') return [invalidValue(field, warning, 'must not be empty')];
  if (warning.length > 256) return [{ field, reason: 'FieldValueTooLong', message: 'Too long: may not be more than 256 bytes' }];
  return /[\p{Cc}]/u.test(warning) ? [invalidValue(field, warning, 'must only contain printable UTF-8 characters; non-printable characters found')] : [];
}

/** What is stored must stay readable. */
function storedVersionsProblems({ spec, status }: CustomResourceDefinition): FieldProblem[] {
  const known = new Set(spec.versions.map(({ name }) => name));
  const problems: FieldProblem[] = [];
  const seen = new Set<string>();
  (status?.storedVersions ?? []).forEach((version, index) => {
    const field = `status.storedVersions[${index}]`;
    if (seen.has(version)) problems.push(duplicate(field, version));
    seen.add(version);
    if (known.has(version)) return;
    const help = `missing from spec.versions; ${version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${version} and removes ${version} from status.storedVersions`;
    problems.push(invalidValue(field, version, help));
  });
  return problems;
}

/** What may not change. */
export function definitionUpdateProblems(crd: CustomResourceDefinition, old: CustomResourceDefinition): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const immutable = (field: string, value: string, before: string): void => {
    if (value !== before) problems.push(invalidValue(field, value, 'field is immutable'));
  };
  if (conditionIs(old.status?.conditions, 'Established', 'True')) {
    immutable('spec.scope', crd.spec.scope, old.spec.scope);
    immutable('spec.names.kind', crd.spec.names.kind, old.spec.names.kind);
  }
  immutable('spec.group', crd.spec.group, old.spec.group);
  immutable('spec.names.plural', crd.spec.names.plural, old.spec.names.plural);
  return problems;
}
