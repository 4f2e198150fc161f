import { aborted } from '../lib/service.js';

/** Waits until all informers have their first list. False when the signal aborted before. */
export async function allSynced(informers: readonly { readonly synced: Promise<void> }[], signal: AbortSignal): Promise<boolean> {
  await Promise.race([Promise.all(informers.map((informer) => informer.synced)), aborted(signal)]);
  return !signal.aborted;
}
