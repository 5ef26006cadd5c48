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
      [[]],
      [[2, 224, 224, 3]],
      [
        [2, 16, 32],
        [2, 16, 32],
      ],
    ]);
  } finally {
    log.mockRestore();
    rmSync(example);
  }
});
