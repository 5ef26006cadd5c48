import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
// Only this: onnxruntime-node, once imported, would hold the library too.
import { ortApi } from "../src/capi/api.js";

const mapped = () => readFileSync("/proc/self/maps", "utf8").includes("libonnxruntime");

test("the library stays loaded through garbage collections", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  expect(mapped()).toBe(false);
  ortApi();
  for (let i = 0; i < 10; i++) {
    collect();
    await sleep(2); // finalisers run between turns
  }
  expect(mapped()).toBe(true);
});
