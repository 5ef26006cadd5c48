import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, test, vi } from "vitest";

test("the README's example runs and prints what it says", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const example = new URL("./readme-example.gen.ts", import.meta.url);
  writeFileSync(example, readme.match(/```ts\n([\s\S]*?)```/)![1]!);
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import(/* @vite-ignore */ example.pathname);
    expect(log.mock.calls).toEqual([
      ["do something", { base_0_rgb: true, left_wrist_0_rgb: true, right_wrist_0_rgb: false }],
      [[1, 32]],
      [{ data: new Float32Array(70), shape: [10, 7] }],
    ]);
  } finally {
    log.mockRestore();
    rmSync(example);
  }
});
