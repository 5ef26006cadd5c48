import { runReadmeExample } from "@insula/test-kit";
import { test } from "vitest";

test("the README's example runs", async () => {
  await runReadmeExample(new URL("../", import.meta.url));
});
