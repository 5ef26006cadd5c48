import { runReadmeExample } from "@insula/test-kit";
import { expect, test } from "vitest";

test("the README's example prints what it says", async () => {
  const lines = await runReadmeExample(new URL("../", import.meta.url));
  const [tokens, error, row, back] = lines as [string, string, string, string];
  expect(Number(/^(\d+) tokens for 128 numbers$/.exec(tokens)![1])).toBeLessThan(80);
  expect(Number(/^largest error (0\.\d+)$/.exec(error)![1])).toBeLessThan(0.15);
  expect(row).toMatch(/^256 places: \d+ prompt, \d+ causal, \d+ in the loss$/);
  expect(back).toBe("ok 16,8");
});
