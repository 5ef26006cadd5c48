/** @file The contract of work on several items at a time: bounded, at rest at the end, the first failure told. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { forEachOf } from "../src/for-each-of.js";

test("the failure told is the first item's, whichever was the first in time", async () => {
  const item = fc.record({ ticks: fc.nat(6), fails: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(item, { maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      async (items, limit) => {
        let running = 0;
        let ended = 0;
        const work = async ([index, { ticks, fails }]: [number, (typeof items)[number]]): Promise<void> => {
          expect(++running).toBeLessThanOrEqual(limit);
          for (let i = 0; i < ticks; i++) await Promise.resolve();
          running--;
          ended++;
          if (fails) throw index;
        };
        const told: unknown = await forEachOf([...items.entries()], limit, work).catch(
          (reason: unknown) => reason,
        );
        const first = items.findIndex(({ fails }) => fails);
        expect(told).toBe(first < 0 ? undefined : first);
        expect(running).toBe(0);
        if (first < 0) expect(ended).toBe(items.length);
      },
    ),
  );
});

test("after a failure nothing is begun any more", async () => {
  const begun: number[] = [];
  const all = forEachOf([0, 1, 2, 3], 2, async (item) => {
    begun.push(item);
    if (item === 0) throw new Error("0");
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
  await expect(all).rejects.toThrow("0");
  expect(begun).toEqual([0, 1]);
});
