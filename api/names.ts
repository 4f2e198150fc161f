// names.ts
//
// Rules for names, labels and label values, with the messages Kubernetes gives.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/

import { invalidValue, type FieldProblem } from './errors.js';

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const qualifiedNamePart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const environmentName = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;
const configKey = /^[-._a-zA-Z0-9]+$/;

/** Why `name` is no DNS-1123 subdomain (most object names), or undefined. */
export function subdomainProblem(name: string): string | undefined {
  if (name.length > 253) return 'must be no more than 253 characters';
  if (subdomain.test(name)) return undefined;
  return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com')";
}

/** Why `name` is no DNS-1123 label (namespaces), or undefined. */
export function labelProblem(name: string): string | undefined {
  if (name.length > 63) return 'must be no more than 63 characters';
  if (label.test(name)) return undefined;
  return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name')";
}

/** Why `key` is no label or annotation key (`[prefix/]name`), or undefined. */
export function qualifiedNameProblem(key: string): string | undefined {
  const parts = key.split('/');
  if (parts.length > 2) return "a qualified name must consist of a name and an optional DNS subdomain prefix, separated by one '/' (e.g. 'example.com/MyName')";
  const name = parts[parts.length - 1]!;
  if (parts.length === 2) {
    const problem = parts[0] === '' ? 'must be non-empty' : subdomainProblem(parts[0]!);
    if (problem) return `prefix part ${problem}`;
  }
  if (name === '') return 'name part must be non-empty';
  if (name.length > 63) return 'name part must be no more than 63 characters';
  if (qualifiedNamePart.test(name)) return undefined;
  return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName')";
}

/** Why `value` is no label value, or undefined. */
export function labelValueProblem(value: string): string | undefined {
  if (value.length > 63) return 'must be no more than 63 characters';
  if (labelValue.test(value)) return undefined;
  return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue')";
}

/** Why `name` is no name of an environment variable, or undefined. */
export function environmentNameProblem(name: string): string | undefined {
  if (environmentName.test(name)) return undefined;
  return "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'MY_NAME')";
}

/** Why `key` is no key of a ConfigMap or Secret, or undefined. */
export function configKeyProblem(key: string): string | undefined {
  if (key.length > 253) return 'must be no more than 253 characters';
  if (configKey.test(key) && key !== '.' && !key.startsWith('..')) return undefined;
  return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name')";
}

/** Problems of a map of labels at `field`. */
export function labelsProblems(labels: Record<string, string> | undefined, field: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    const keyProblem = qualifiedNameProblem(key);
    if (keyProblem) problems.push(invalidValue(field, key, keyProblem));
    const valueProblem = labelValueProblem(value);
    if (valueProblem) problems.push(invalidValue(`${field}[${key}]`, value, valueProblem));
  }
  return problems;
}
