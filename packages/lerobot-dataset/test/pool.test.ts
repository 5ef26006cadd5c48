/** @file The memory contract: bounded caches, bounded open files, nothing closed under its user. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { createByteCache } from "../src/byte-cache.js";
import { createPool } from "../src/pool.js";

test("a cache never holds more than its limit and keeps what was used last", () => {
  const action = fc.record({ key: fc.constantFrom("a", "b", "c", "d"), bytes: fc.nat(12) });
  fc.assert(
    fc.property(fc.array(action), (actions) => {
      const cache = createByteCache<number>(10);
      const model = new Map<string, number>();
      for (const { key, bytes } of actions) {
        cache.set(key, bytes, bytes);
        model.delete(key);
        if (bytes <= 10) model.set(key, bytes);
        for (const [oldest] of model) {
          if ([...model.values()].reduce((a, b) => a + b, 0) <= 10) break;
          model.delete(oldest);
        }
        expect(cache.bytes).toBeLessThanOrEqual(10);
        expect(cache.bytes).toBe([...model.values()].reduce((a, b) => a + b, 0));
      }
      for (const key of ["a", "b", "c", "d"]) expect(cache.get(key)).toBe(model.get(key));
    }),
  );
});

test("a pool closes idle resources only, and all of them in the end", async () => {
  const action = fc.record({ key: fc.constantFrom("a", "b", "c", "d"), ticks: fc.nat(4) });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
      const open = new Set<object>();
      const pool = createPool({
        limit: 2,
        open: async (key) => {
          const resource = { key };
          open.add(resource);
          return resource;
        },
        close: (resource) => void open.delete(resource),
      });
      await Promise.all(
        actions.map(({ key, ticks }) =>
          pool.use(key, async (resource) => {
            for (let i = 0; i <= ticks; i++) {
              await Promise.resolve();
              expect(open.has(resource)).toBe(true);
            }
            expect(resource.key).toBe(key);
          }),
        ),
      );
      expect(open.size).toBeLessThanOrEqual(2);
      await pool.close();
      expect(open.size).toBe(0);
    }),
  );
});

test("a resource that fails to open is tried again", async () => {
  let attempts = 0;
  const pool = createPool({
    limit: 1,
    open: async () => {
      if (++attempts === 1) throw new Error("first");
      return attempts;
    },
    close: () => {},
  });
  await expect(pool.use("k", async (n) => n)).rejects.toThrow("first");
  await expect(pool.use("k", async (n) => n)).resolves.toBe(2);
});
