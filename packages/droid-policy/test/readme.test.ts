import { readmeLog } from "@insula/test-kit";
import { expect, test } from "vitest";

test("the README's example runs and prints what it says", async () => {
  const logged = await readmeLog(new URL("../", import.meta.url));
  expect(logged).toEqual([
    ["do something", { base_0_rgb: true, left_wrist_0_rgb: true, right_wrist_0_rgb: false }],
    [[1, 32]],
    [{ data: new Float32Array(120), shape: [15, 8] }],
  ]);
});
