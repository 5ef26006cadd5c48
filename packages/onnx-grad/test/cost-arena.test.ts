import fc from "fast-check";
import { expect, test } from "vitest";
import { createArena } from "../src/cost/arena.js";

const MB = 2 ** 20;

/**
 * The same policy over a list of regions that are lists of chunks, searched from end to end: the smallest free chunk
 * that is large enough, the first of equal ones; split when at least half or 128 MiB would be left over.
 */
function naiveArena(grow: "next-power-of-two" | "as-requested") {
  let regions: { size: number; owner: number | undefined }[][] = [];
  let next = MB;
  let tickets = 0;
  const chunks = () => regions.flat();
  const inUse = () => chunks().reduce((sum, c) => sum + (c.owner === undefined ? 0 : c.size), 0);
  const find = (bytes: number) => {
    const fitting = chunks().filter((c) => c.owner === undefined && c.size >= bytes);
    return fitting.find((c) => fitting.every((d) => c.size <= d.size));
  };
  return {
    inUse,
    reserved: () => chunks().reduce((sum, c) => sum + c.size, 0),
    allocate(request: number): number {
      const bytes = Math.max(1, Math.ceil(request / 256)) * 256;
      if (!find(bytes)) {
        let size = bytes;
        if (grow === "next-power-of-two") {
          const fits = next >= bytes;
          while (next < bytes) next *= 2;
          size = next;
          if (fits) next = Math.min(2 * next, Math.max(next, 1024 * MB));
        }
        regions.push([{ size, owner: undefined }]);
      }
      const chunk = find(bytes)!;
      if (chunk.size >= 2 * bytes || chunk.size - bytes >= 128 * MB) {
        const rest = { size: chunk.size - bytes, owner: undefined };
        chunk.size = bytes;
        regions = regions.map((r) => r.flatMap((c) => (c === chunk ? [c, rest] : [c])));
      }
      chunk.owner = tickets;
      return tickets++;
    },
    free(ticket: number): void {
      for (const c of chunks()) if (c.owner === ticket) c.owner = undefined;
      regions = regions.map((region) => {
        const merged: typeof region = [];
        for (const c of region) {
          const last = merged.at(-1);
          if (last && last.owner === undefined && c.owner === undefined) last.size += c.size;
          else merged.push(c);
        }
        return merged;
      });
    },
  };
}

test("the arena equals a plain search through all chunks", () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 4096 }), fc.integer({ min: 1, max: 300 * MB }));
  fc.assert(
    fc.property(
      fc.constantFrom("next-power-of-two" as const, "as-requested" as const),
      fc.array(
        fc.oneof(
          { weight: 3, arbitrary: size },
          fc.nat().map((n) => -1 - n),
        ),
        { maxLength: 60 },
      ),
      (grow, actions) => {
        const arena = createArena(grow);
        const naive = naiveArena(grow);
        const live: { release: () => void; ticket: number }[] = [];
        let most = 0;
        for (const action of actions) {
          if (action > 0) live.push({ release: arena.allocate(action), ticket: naive.allocate(action) });
          else if (live.length > 0) {
            const [gone] = live.splice(-action % live.length, 1);
            gone!.release();
            naive.free(gone!.ticket);
          }
          most = Math.max(most, naive.inUse());
          expect(arena.stats).toEqual({ inUse: naive.inUse(), maxInUse: most, reserved: naive.reserved() });
        }
      },
    ),
  );
});

test("regions double, and a chunk is handed out whole unless half of it is left over", () => {
  const arena = createArena();
  const small = arena.allocate(700 * 1024);
  expect(arena.stats).toEqual({ inUse: MB, maxInUse: MB, reserved: MB });
  arena.allocate(100);
  expect(arena.stats).toEqual({ inUse: MB + 256, maxInUse: MB + 256, reserved: 3 * MB });
  small();
  expect(arena.stats.inUse).toBe(256);
});
