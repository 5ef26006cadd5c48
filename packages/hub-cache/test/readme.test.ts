import { test } from "vitest";
// By path: the test kit is built on this package and cannot be its dependency.
import { runReadmeExample } from "../../../tools/test-kit/src/readme.js";

test("the README's example runs", async () => {
  await runReadmeExample(new URL("../", import.meta.url));
});
