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
  const started = performance.now();
  const plan = makePlan(config, 2);
  expect(performance.now() - started).toBeLessThan(5000);
  expect(plan.tokens).toEqual({ image: 512, text: 256, expert: 50 });
  expect(planLines(plan, config, { free: 8e9, total: 16e9 })).toMatchInlineSnapshot(`
    [
      "        parameters  trained  memory   gradients  moments  EMA",
      "------  ----------  -------  -------  ---------  -------  -------",
      "vlm     0.24 M      0.24 M   0.96 MB  0.96 MB    1.91 MB  0.96 MB",
      "expert  0.17 M      0.17 M   0.68 MB  0.68 MB    1.35 MB  0.68 MB",
      "all     0.41 M      0.41 M   1.63 MB  1.63 MB    3.27 MB  1.63 MB",
      "tokens      818 per sample = 512 image + 256 text + 50 action",
      "steps       200 of 4 samples, lr 0.003 after 10 steps, cosine to 0.0003 at 200, EMA 0.95, seed 42, 5.5 GFLOP each",
      "memory      about 0.85 GB of 8.00 GB free, 16.0 GB in all, on cpu",
      "  state       8.17 MB",
      "  activations 0.24 GB, none rematerialised (none: 0.24 GB, all: 0.23 GB)",
      "  other       0.60 GB process, constants, optimizer step",
    ]
  `);
  const parts = { ...config, gradientAccumulation: 2, flowDraws: 5, emaDecay: null };
  const lines = planLines(makePlan(parts, 2), parts, { free: 8e9, total: 16e9 }).join("\n");
  expect(lines).toMatch(/50 action × 5 draws\n/);
  expect(lines).toMatch(/ 200 of 4 samples in 2 micro-batches of 2, /);
  expect(lines).toMatch(/^all .* –$/m);
  expect(() => assertFits(plan, config, { free: 8e9, total: 16e9 })).not.toThrow();
});

test("a run that cannot fit is refused with the numbers and a way out", () => {
  const config = full("pi05_droid_ki");
  const plan = makePlan(config, 2, { free: 16e9, total: 32e9 });
  expect(plan.memory.stateBytes).toBe(3_353_433_872 * 20);
  expect(() => assertFits(plan, config, { free: 16e9, total: 32e9 })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: this run needs about 127.3 GB (67.1 GB parameters, gradients and moments, 59.6 GB activations at batch size 32); 16.0 GB of 32.0 GB are free. --size small needs less]`,
  );
});

test("the micro-batches that a refusal names fit, and fewer do not", () => {
  const config = resolveConfig(getConfig("pi05_droid_ki"), {
    size: "tiny",
    overrides: { batchSize: 8, rematerialize: false },
  });
  const need = (gradientAccumulation: number) =>
    makePlan({ ...config, gradientAccumulation }, 2).memory.totalBytes;
  const refusal = (free: number) => () => assertFits(makePlan(config, 2), config, { free, total: 16e9 });
  expect(refusal(need(1))).not.toThrow();
  expect(refusal(need(1) - 1)).toThrow(/--set gradientAccumulation=2 would fit and trains the same$/);
  expect(refusal(need(4))).toThrow(/at batch size 8\); .*--set gradientAccumulation=4 would fit/);
  expect(refusal(need(8) - 1)).toThrow(/--batch-size 1 would fit$|free some memory$/);
  expect(refusal(1e6)).toThrow(/free some memory$/);
});

test("automatic rematerialisation: only when it does not fit otherwise", () => {
  const config = resolveConfig(getConfig("pi05_droid_ki"), { size: "small" });
  const auto = (free: number) => makePlan(config, 2, { free, total: 64e9 });
  const roomy = auto(64e9);
  expect(roomy.rematerialize).toBe(false);
  expect(auto(roomy.memory.totalBytes).rematerialize).toBe(false);
  const half = auto(roomy.memory.totalBytes - 1);
  expect(half.rematerialize).toEqual({ siglip: 3, vlm: 3, expert: 3 });
  const all = auto(half.memory.totalBytes - 1);
  expect(all.rematerialize).toBe(true);
  expect(all.memory.activationBytes).toBeLessThan(half.memory.activationBytes);
  expect(half.memory.activationBytes).toBeLessThan(roomy.memory.activationBytes);
  expect(planLines(all, config).join("\n")).toMatch(/GB, all rematerialised \(none: .* GB, all: .*\)/);
});

test("available memory is positive and not more than there is", () => {
  const { free, total } = availableMemory();
  expect(free).toBeGreaterThan(0);
  expect(free).toBeLessThanOrEqual(total);
  expect([12, 618_000, 3.353e9].map(count)).toEqual(["12", "0.62 M", "3.35 G"]);
});
