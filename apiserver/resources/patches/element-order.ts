// element-order.ts
//
// The order of a list that a strategic merge patch has merged: items of the patch as the patch has them, all others where they
// were, before the first item of the patch that they stood before.
// https://github.com/kubernetes/design-proposals-archive/blob/main/cli/preserve-order-in-strategic-merge-patch.md

/**
 * @param identityOf what names an item within the list
 * @param wanted identities in the order that the patch asks for
 * @param before identities in the order that the list had
 */
export function ordered<Item>(items: readonly Item[], identityOf: (item: Item) => unknown, wanted: readonly unknown[], before: readonly unknown[]): Item[] {
  const wantedAt = places(wanted);
  const beforeAt = places(before);
  const at = (index: ReadonlyMap<unknown, number>, item: Item): number | undefined => index.get(identityOf(item));
  const named = items.filter((item) => at(wantedAt, item) !== undefined).toSorted((a, b) => at(wantedAt, a)! - at(wantedAt, b)!);
  const others = items.filter((item) => at(wantedAt, item) === undefined);

  const result: Item[] = [];
  let next = 0;
  for (const item of named) {
    const place = at(beforeAt, item);
    for (; next < others.length && place !== undefined; next++) {
      const otherPlace = at(beforeAt, others[next]!);
      if (otherPlace === undefined || otherPlace > place) break;
      result.push(others[next]!);
    }
    result.push(item);
  }
  return [...result, ...others.slice(next)];
}

/** Whether the items come in the order that is asked for, and none is missing there. */
export function follows(items: readonly unknown[], wanted: readonly unknown[]): boolean {
  let at = 0;
  for (const identity of wanted) if (at < items.length && items[at] === identity) at++;
  return at === items.length;
}

function places(identities: readonly unknown[]): Map<unknown, number> {
  const index = new Map<unknown, number>();
  for (const [at, identity] of identities.entries()) if (!index.has(identity)) index.set(identity, at);
  return index;
}
