// kube-version.ts: which version of a group comes first. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority

const pattern = /^v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?$/;
const ranks: Record<string, number> = { alpha: 0, beta: 1 };

/** For sorting: v10, v2, v1, v11beta2, v10beta3, v12alpha1, then what is no such version, by the alphabet. */
export function compareVersions(a: string, b: string): number {
  const left = pattern.exec(a);
  const right = pattern.exec(b);
  if (!left || !right) return left ? -1 : right ? 1 : a < b ? -1 : a > b ? 1 : 0;
  const rank = (match: RegExpExecArray): number => (match[2] === undefined ? 2 : ranks[match[2]]!);
  return rank(right) - rank(left) || Number(right[1]) - Number(left[1]) || Number(right[3] ?? 0) - Number(left[3] ?? 0);
}
