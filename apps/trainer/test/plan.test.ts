import { expect, test } from "vitest";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { assertFits, availableMemory, count, makePlan, planLines } from "../src/plan.js";

const full = (name: string) => resolveConfig(getConfig(name), { size: "full" });

test("parameters of the full-size models", () => {
  const total = (name: string) => {
    const { vlm, expert } = makePlan(full(name), 3).params;
    return vlm + expert;
  };
  // Counted from openpi's trees.
  expect(total("pi05_droid_ki")).toBe(3_353_433_872);
  expect(total("pi0_droid")).toBe(3_238_048_528);
  expect(total("pi0_fast_droid")).toBe(2_923_335_408);
});

test("the plan in words", () => {
  const config = resolveConfig(getConfig("pi05_droid_ki"), {
    size: "tiny",
    overrides: { numTrainSteps: 200 },
  });
  const plan = makePlan(config, 2);
  expect(plan.tokens).toEqual({ image: 512, text: 256, expert: 50 });
  expect(planLines(plan, config, { free: 8e9, total: 16e9 })).toMatchInlineSnapshot(`
    [
      "parameters  0.41 M = 0.24 M vlm + 0.17 M expert, all float32 and trained",
      "tokens      818 per sample = 512 image + 256 text + 50 action",
      "steps       200 of 4 samples, lr 0.003 after 10 steps, cosine to 0.0003 at 200, EMA 0.95, seed 42",
      "memory      about 0.99 GB (0.01 GB state, 0.38 GB activations) of 8.00 GB free, 16.0 GB in all",
    ]
  `);
  expect(() => assertFits(plan, config, { free: 8e9, total: 16e9 })).not.toThrow();
});

test("a run that cannot fit is refused with the numbers and a way out", () => {
  const config = full("pi05_droid_ki");
  const plan = makePlan(config, 2);
  expect(plan.memory.stateBytes).toBe(3_353_433_872 * 20);
  expect(() => assertFits(plan, config, { free: 16e9, total: 32e9 })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: this run needs about 533.3 GB (67.1 GB parameters, gradients and moments, 465.6 GB activations at batch size 32); 16.0 GB of 32.0 GB are free. --size small needs less]`,
  );
  const { stateBytes, activationBytes, baseBytes } = plan.memory;
  const free = stateBytes + baseBytes + 2.5 * (activationBytes / config.batchSize);
  expect(() => assertFits(plan, config, { free, total: free })).toThrow(/--batch-size 2 would fit$/);
});

test("available memory is positive and not more than there is", () => {
  const { free, total } = availableMemory();
  expect(free).toBeGreaterThan(0);
  expect(free).toBeLessThanOrEqual(total);
  expect([12, 618_000, 3.353e9].map(count)).toEqual(["12", "0.62 M", "3.35 G"]);
});
