import { runReadmeExample } from "@insula/test-kit";
import { expect, test } from "vitest";

test("the README's example runs", async () => {
  const lines = await runReadmeExample(new URL("../", import.meta.url));
  expect(lines[0]).toBe("lerobot pi05 64");
  expect(lines.join("\n")).toContain("ignored: the head is tied");
});
