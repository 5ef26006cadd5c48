import { readFileSync } from "node:fs";
import { planMemory } from "@insula/ki-model";
import { expect, test } from "vitest";
import { runArtifactOptions } from "../src/artifact.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { RunConfig } from "../src/configs/types.js";
import type { Fit } from "../src/plan/fits.js";
import { memoryNeed } from "../src/plan/make-plan.js";
import { scalingTables } from "../src/plan/markdown.js";
import { byteCount } from "../src/plan.js";
import { runCli } from "../src/program.js";

async function insula(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const lines = { out: [] as string[], err: [] as string[] };
  const code = await runCli(args, {
    out: (line) => void lines.out.push(line),
    err: (line) => void lines.err.push(line),
  });
  return { code, out: lines.out.join("\n"), err: lines.err.join("\n") };
}

test("a table of what would fit, and the first choice that does", async () => {
  const { code, out } = await insula(
    "plan",
    "debug_pi05_ki",
    "--batch-size",
    "4",
    "--device-memory",
    "0.75GB",
  );
  expect(code).toBe(0);
  expect(out).toMatch(/^debug_pi05_ki \(pi05_ki, size tiny\): 0\.41 M parameters, 0\.41 M trained\n/);
  expect(out.split("\n").filter((line) => /^ +4 +4 +(no|yes) +(no|yes) /.test(line))).toHaveLength(4);
  expect(out).toMatch(
    /\nfits with rematerialisation, micro-batches of \d \(gradientAccumulation \d\): [\d.]+ GB of 0\.75 GB$/,
  );
});

test("as JSON, with bytes as numbers that add up", async () => {
  const { out } = await insula(
    "plan",
    "debug_pi05_ki",
    "--batch-size",
    "2",
    "--json",
    "--device-memory",
    "9GB",
  );
  const { rows, chosen } = JSON.parse(out);
  expect(chosen).toMatchObject({
    batchSize: 2,
    gradientAccumulation: 1,
    rematerialize: false,
    fits: true,
    changes: [],
  });
  expect(rows).toHaveLength(4);
  for (const { bytes, need } of rows) {
    const { parameters, gradients, moments, ema, activations, constants, optimizer } = bytes;
    const sum = parameters + gradients + moments + ema + activations + constants + optimizer;
    expect(need - sum).toBe(600e6);
  }
});

test("what fits: every way to train, its largest batch, and the micro-batches of the run's own", async () => {
  const { out } = await insula(
    ...["plan", "debug_pi05_ki", "--batch-size", "32", "--json", "--device-memory", "1GB"],
    ...["--set", "emaDecay=0.9"],
  );
  const { fits, rows } = JSON.parse(out) as { fits: Fit[]; rows: { need: number }[] };
  expect(fits.map(({ train, rematerialize, emaDecay }) => [train, rematerialize, emaDecay])).toEqual(
    ["all", "lora", "expert"].flatMap((train) =>
      [false, true].flatMap((remat) => [0.9, null].map((ema) => [train, remat, ema])),
    ),
  );
  const config = resolveConfig(getConfig("debug_pi05_ki"), {
    size: "tiny",
    overrides: { batchSize: 32, emaDecay: 0.9 },
  });
  const need = (changes: Partial<RunConfig>) => {
    const options = { ...runArtifactOptions({ ...config, ...changes }), tokenBuckets: [] };
    return memoryNeed(planMemory(config.model, options)).totalBytes;
  };
  const [kept, , again] = fits as [Fit, Fit, Fit];
  for (const { largestBatch, rematerialize, gradientAccumulation } of [kept, again]) {
    expect(need({ batchSize: largestBatch, rematerialize })).toBeLessThanOrEqual(1e9);
    expect(need({ batchSize: largestBatch + 1, rematerialize })).toBeGreaterThan(1e9);
    expect(gradientAccumulation).toBeGreaterThan(1);
    expect(need({ gradientAccumulation: gradientAccumulation!, rematerialize })).toBeLessThanOrEqual(1e9);
    expect(need({ gradientAccumulation: gradientAccumulation! / 2, rematerialize })).toBeGreaterThan(1e9);
  }
  expect(rows[0]!.need).toBeGreaterThan(1e9);
  const trained = (train: string) => fits.find((fit) => fit.train === train)!.trained;
  expect(trained("lora")).toBeLessThan(trained("all"));
  expect(trained("expert")).toBeLessThan(trained("all"));
  const { out: shown } = await insula(
    "plan",
    "debug_pi05_ki",
    "--batch-size",
    "32",
    "--device-memory",
    "1GB",
  );
  expect(shown).toMatch(/^what fits into 1\.00 GB, 0\.60 GB of it for the process:$/m);
  expect(shown).toMatch(/^all +[\d.]+ M +no +no +\d+ +\d+ micro-batches of \d+$/m);
});

test("nothing fits: the smallest choice is named", async () => {
  const { out } = await insula("plan", "debug_pi05_ki", "--device-memory", "601MB", "--batch-size", "1");
  expect(out).toMatch(/nothing fits: the smallest choice needs [\d.]+ GB of 0\.60 GB$/);
});

test("sizes are read with their units", async () => {
  expect(["80GB", "24 GiB", "1.5tb", "1000"].map(byteCount)).toEqual([80e9, 24 * 2 ** 30, 1.5e12, 1000]);
  for (const text of ["", "80 apples", "-1GB", "0"]) expect(() => byteCount(text)).toThrow(/Expected a size/);
  expect((await insula("plan", "--device-memory", "much")).code).toBe(2);
});

test("docs/scaling.md has the tables that the planner makes", () => {
  const doc = readFileSync(new URL("../../../docs/scaling.md", import.meta.url), "utf8");
  const [, tables] = /<!-- generated: insula plan --markdown -->\n\n([\s\S]*?)\n\n<!-- \/generated -->/.exec(
    doc,
  )!;
  expect(tables, "run `insula plan --markdown` and replace the tables of docs/scaling.md").toBe(
    scalingTables(),
  );
}, 300_000);
