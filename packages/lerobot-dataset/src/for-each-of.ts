/** @file Work on the items of a list, several at a time. */

/**
 * Run `work` for each of `items`, begun in their order, with at most `concurrency` under way. After a failure none is
 * begun any more, and the failure is told when all that were begun have ended: nothing goes on behind the caller's
 * back, and of several failures it is always that of the first item, whichever was the first in time.
 * @throws What `work` threw for the first item that failed.
 */
export async function forEachOf<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.entries();
  const failures: { index: number; reason: unknown }[] = [];
  const worker = async (): Promise<void> => {
    for (const [index, item] of waiting) {
      if (failures.length > 0) return;
      await work(item).catch((reason: unknown) => failures.push({ index, reason }));
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  if (failures.length === 0) return;
  throw failures.reduce((first, other) => (other.index < first.index ? other : first)).reason;
}
