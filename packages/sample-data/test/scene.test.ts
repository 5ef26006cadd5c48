import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeRandom } from "../src/random.js";
import { instructionsFor, sampleInstructions, sampleScene, WORKSPACE } from "../src/scene.js";

const seeds = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe("scenes", () => {
  test("property: three objects of three colours, apart, on the table", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { objects } = sampleScene(makeRandom(seed, 0));
        expect(new Set(objects.map((o) => o.color)).size).toBe(3);
        objects.forEach((a, i) => {
          expect(a.x).toBeGreaterThanOrEqual(WORKSPACE.x[0]);
          expect(a.x).toBeLessThan(WORKSPACE.x[1]);
          for (const b of objects.slice(i + 1))
            expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThanOrEqual(0.15);
        });
      }),
    );
  });

  test("property: a sentence names exactly one object and one action", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const scene = sampleScene(makeRandom(seed, 0));
        const all = instructionsFor(scene);
        expect(new Set(all.map((i) => i.text)).size).toBe(all.length);
        for (const { text, target } of all) {
          const named = scene.objects.filter((o) => text.includes(`the ${o.color} ${o.shape} `));
          expect(named).toEqual([scene.objects[target]]);
          // Left, in the middle or right of the other two, and said so.
          const fromLeft = [...scene.objects].sort((a, b) => b.y - a.y).indexOf(scene.objects[target]!);
          expect(text).toContain(["on the left", "in the middle", "on the right"][fromLeft]);
        }
      }),
    );
  });

  test("property: the two instructions of a scene have different targets", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = makeRandom(seed, 0);
        const [a, b] = sampleInstructions(sampleScene(random), random);
        expect(a.target).not.toBe(b.target);
      }),
    );
  });
});

test("streams of one seed, and equal streams of different seeds, differ; equal arguments agree", () => {
  const first = (seed: number, stream: number) => makeRandom(seed, stream).uniform(0, 1);
  const draws = [0, 1, 2, 3].flatMap((seed) => [0, 1, 2, 3].map((stream) => first(seed, stream)));
  expect(new Set(draws).size).toBe(16);
  expect(first(7, 3)).toBe(first(7, 3));
});
