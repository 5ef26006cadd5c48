import { runReadmeExample } from "@insula/test-kit";
import { expect, test } from "vitest";

test("the README's example runs", async () => {
  expect(await runReadmeExample(new URL("../", import.meta.url))).toHaveLength(2);
});
