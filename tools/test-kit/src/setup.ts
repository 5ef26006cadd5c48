/** Registers `toBeAllclose` for every package's tests (see vitest.shared.ts). */
import { expect } from "vitest";
import { compare, type Tolerance } from "./allclose.js";

expect.extend({
  toBeAllclose(
    actual: ArrayLike<number | bigint>,
    expected: ArrayLike<number | bigint>,
    tolerance?: Tolerance,
  ) {
    const { ok, maxAbs, maxRel, worst } = compare(actual, expected, tolerance);
    const where =
      worst < 0 ? "" : `, worst at [${worst}]: actual ${actual[worst]}, expected ${expected[worst]}`;
    return {
      pass: ok,
      message: () =>
        `expected ${actual.length} elements to be close to ${expected.length}: max abs ${maxAbs}, max rel ${maxRel}${where}; tolerance ${JSON.stringify(tolerance)}`,
    };
  },
});

declare module "vitest" {
  // biome-ignore lint/suspicious/noExplicitAny: vitest's own signature
  interface Matchers<T = any> {
    toBeAllclose(expected: ArrayLike<number | bigint>, tolerance?: Tolerance): T;
  }
}
