/** @file Which action tokenizer a run uses, and training with each kind. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDroidExample } from "@insula/droid-policy";
import { type FastActionTokenizer, fitFastTokenizer } from "@insula/fast-tokenizer";
import { saveFastTokenizer } from "@insula/fast-tokenizer/node";
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import type { NdArray } from "@insula/model-types";
import { ensureSampleData, type SampleDataPaths } from "@insula/sample-data";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parseOverrides } from "../src/configs/overrides.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { RunConfig } from "../src/configs/types.js";
import { findData } from "../src/data/source.js";
import { loadTokenizers, type Tokenizers } from "../src/data/tokenizers.js";
import { openTrainData } from "../src/data/train-data.js";
import { loadPolicy } from "../src/infer/load-policy.js";
import type { TokenAudit } from "../src/inspect/token-audit.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-action-tokenizers-"));
afterAll(() => rmSync(base, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

let sample: SampleDataPaths;
beforeAll(async () => {
  sample = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 });
});

const resolve = (name: string, size: "tiny" | "full", ...set: string[]): RunConfig =>
  resolveConfig(getConfig(name), {
    size,
    overrides: parseOverrides([`data.repoId=${sample.datasetDir}`, ...set]),
  });

/** What `insula train` would load. */
function fastOf({ actions }: Tokenizers): FastActionTokenizer {
  if (actions?.type !== "fast") throw new Error(`expected FAST, found ${actions?.type}`);
  return actions.codec;
}

async function tokenizersOf(config: RunConfig, tokenizers?: string): Promise<Tokenizers> {
  const source = await findData(config, {
    log: () => undefined,
    ...(tokenizers === undefined ? {} : { tokenizers }),
  });
  return loadTokenizers(source.tokenizers, config);
}

async function insula(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(args, { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("a configuration's FAST tokenizer comes before the embedded one, and after that of --tokenizers", async () => {
  const own = join(base, "own");
  const chunk = { data: Float64Array.from({ length: 120 }, (_, i) => Math.sin(i)), shape: [15, 8] };
  await saveFastTokenizer(own, fitFastTokenizer([chunk], { scale: 7, vocabSize: 300, byteAlphabet: true }));
  const named = resolve("paligemma_fast_specialist_droid", "tiny", `data.fastModelTokenizer.path=${own}`);
  const plain = resolve("paligemma_fast_droid", "tiny");
  expect(fastOf(await tokenizersOf(named)).scale).toBe(7);
  expect(fastOf(await tokenizersOf(plain)).scale).toBe(10);

  const text = join(base, "given", "text");
  mkdirSync(text, { recursive: true });
  cpSync(sample.textTokenizerPath, join(text, "tokenizer.json"));
  // A folder without FAST leaves the configuration its own; size full has no embedded text tokenizer, either.
  expect(fastOf(await tokenizersOf({ ...named, size: "full" }, join(base, "given"))).scale).toBe(7);
  cpSync(sample.fastTokenizerDir, join(base, "given", "fast"), { recursive: true });
  expect(fastOf(await tokenizersOf(named, join(base, "given"))).scale).toBe(10);
});

test("without a network, a repository that was never downloaded is an error that says what to do", async () => {
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  vi.stubEnv("HF_HUB_CACHE", join(base, "empty"));
  const train = ["train", "paligemma_fast_specialist_droid", "--log-dir", join(base, "offline")];
  const { code, err } = await insula(...train, "--dataset", sample.datasetDir, "--size", "tiny");
  expect(code).toBe(1);
  expect(err.replaceAll(base, "BASE")).toMatchInlineSnapshot(
    `"error: data.fastModelTokenizer.path: KarlP/fast_droid_specialist at main: not in BASE/empty/models--KarlP--fast_droid_specialist, and offline (HF_HUB_OFFLINE or the option); load it once with a network, for tokenizer.json, bpe_tokenizer/tokenizer.json, processor_config.json; nor is there such a path here; or put the tokenizer into fast/ of a --tokenizers folder [hub/offline]"`,
  );
});

test("size full asks for the tokenizers that are missing, and for no others", async () => {
  await expect(tokenizersOf(resolve("paligemma_fast_droid", "full"))).rejects.toMatchInlineSnapshot(
    `[InsulaError: size full needs PaliGemma's tokenizer (text/tokenizer.model) and FAST+ (fast/tokenizer.json, fast/processor_config.json) in one folder: --tokenizers DIR. With --size tiny or small there are embedded ones]`,
  );
  await expect(
    tokenizersOf(resolve("paligemma_fast_specialist_droid", "full")),
  ).rejects.toMatchInlineSnapshot(
    `[InsulaError: size full needs PaliGemma's tokenizer (text/tokenizer.model) in a folder: --tokenizers DIR. With --size tiny or small there are embedded ones]`,
  );
});

test.each([
  "data.fastModelTokenizer.pth=x",
  'data.fastModelTokenizer={"type":"fsst","path":null}',
  "data.fastModelTokenizer.path=3",
  "data.fastModelTokenizer.bins=3",
  'data.fastModelTokenizer={"type":"binning","bins":1}',
])("--set %s is refused", (setting) => {
  expect(() => resolve("paligemma_fast_droid", "tiny", setting)).toThrowErrorMatchingSnapshot();
});

test.each([
  ["pi0_droid"],
  ["pi05_droid_ki", "model.promptFormat=pi05"],
  ["paligemma_fast_droid", "model.actionHorizon=31"],
])("%s cannot have bins with %s", (name, ...set) => {
  const bins = 'data.fastModelTokenizer={"type":"binning","bins":256}';
  expect(() => resolve(name, "tiny", bins, ...set)).toThrowErrorMatchingSnapshot();
});

/** What a run's data make of a sample, and what they make of its tokens. */
async function roundTrip(config: RunConfig, tokenizers?: string) {
  const log = () => undefined;
  const source = await findData(config, { log, ...(tokenizers === undefined ? {} : { tokenizers }) });
  const runDir = mkdtempSync(join(base, "data-"));
  const data = await openTrainData(config, { source, runDir, log });
  try {
    const cameras = [...data.spec.cameraColumns];
    const dataset = await openLeRobotDataset(sample.datasetDir, { cameras });
    const { actionHorizon } = data.config.model;
    const frame = await dataset.sample(40, { actionHorizon, actionKeys: ["actions"] });
    await dataset.close();
    const { state, actions, tokenized_prompt: tokens } = data.pipeline.inputs(data.pipeline.repack(frame));
    const { data: normalised, shape } = actions as NdArray<Float64Array>;
    const clipped = { data: normalised.map((x) => Math.min(Math.max(x, -1), 1)), shape };
    const back = data.pipeline.outputs({ state: state!, actions: tokens! });
    const best = data.pipeline.unnormalized({ state: state!, actions: clipped });
    const { q01, q99 } = data.stats["actions"]!;
    return {
      config: data.config,
      /** The recorded actions, as near as −1…1 allows. */
      clipped: (best["actions"] as NdArray).data as Float64Array,
      decoded: (back["actions"] as NdArray).data as Float64Array,
      range: Array.from(q99!, (high, d) => high - q01![d]!),
    };
  } finally {
    await data.close();
  }
}

/** Training flags for a model of seconds. */
const quick = (dir: string, ...more: string[]) => [
  ...["--size", "tiny", "--dataset", sample.datasetDir, "--log-dir", join(base, dir), "--threads", "1"],
  ...[
    "--batch-size",
    "1",
    "--set",
    "model.imageSize=28",
    "--set",
    'lrSchedule={"type":"constant","lr":1e-3}',
  ],
  ...["--set", "emaDecay=0.5", "--set", "validation.interval=null", ...more],
];

test.each(["paligemma_binning_droid", "paligemma_binning_droid_jointpos"])(
  "%s: actions come back to within a bin",
  async (name) => {
    const { clipped, decoded, range, config } = await roundTrip(resolve(name, "tiny"));
    expect(decoded).toHaveLength(15 * 8);
    expect(new Set(decoded).size).toBeGreaterThan(30);
    expect(config.model.vocabSize).toBeGreaterThanOrEqual(128 + 256 + 256);
    for (const [i, x] of clipped.entries()) {
      expect(x - decoded[i]!).toBeGreaterThan(-1e-9);
      expect(x - decoded[i]!).toBeLessThan((range[i % 8]! + 1e-6) / 256 + 1e-9);
    }
  },
);

test("bins: two steps, resumed to four, equal to four; evaluated, served and inspected", {
  timeout: 120_000,
}, async () => {
  const train = (dir: string, ...more: string[]) =>
    insula("train", "paligemma_binning_droid", ...quick(dir, ...more));
  expect(await train("bins", "--num-steps", "2")).toMatchObject({ code: 0, err: "" });
  const resumed = await train("bins", "--num-steps", "4", "--resume");
  expect(resumed).toMatchObject({ code: 0, err: "" });
  expect(resumed.out).toContain("resumed from step 2");
  expect(await train("bins-four", "--num-steps", "4")).toMatchObject({ code: 0, err: "" });
  const losses = (dir: string) => readMetrics(join(base, dir, "metrics.jsonl")).map((row) => row.fast_loss);
  expect(losses("bins")).toEqual(losses("bins-four"));
  expect(losses("bins")).toHaveLength(4);
  const other = await train(
    "bins",
    "--num-steps",
    "5",
    "--resume",
    "--set",
    "data.fastModelTokenizer.bins=64",
  );
  expect(other.err).toBe(
    "error: --resume: data.fastModelTokenizer.bins was 256 in the checkpoint and is 64 now; " +
      "resume with the same settings, or start another run [run/config-changed]",
  );

  const checkpoint = join(base, "bins", "checkpoints", "4");
  expect(readdirSync(join(checkpoint, "tokenizers"))).toEqual(["text"]);
  const evaluated = await insula("evaluate", "--checkpoint", checkpoint, "--stride", "60", "--json");
  expect(evaluated).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(evaluated.out).trained).toHaveLength(8);

  const refused: string[] = [];
  const { policy } = await loadPolicy({
    checkpoint,
    backend: { device: "cpu" },
    onNotDecoded: (reason) => refused.push(reason.code),
  });
  const { actions } = await policy.infer(makeDroidExample({ seed: 1 }));
  await policy.release();
  expect((actions as NdArray).shape).toEqual([15, 8]);
  // Four steps teach no grammar: the answer is the middle of the normalisation, and that is told.
  expect(refused).toEqual(["fast/no-action"]);

  const audit = await insula(
    ...["inspect", "tokens", "paligemma_binning_droid", "--size", "tiny", "--dataset", sample.datasetDir],
    ...["--samples", "3", "--json"],
  );
  const { example, quantization } = JSON.parse(audit.out) as TokenAudit;
  const bins = example!.tokens.filter((row) => row.kind === "binning");
  expect(bins).toHaveLength(15 * 8);
  expect(bins.at(-1)!.piece).toMatch(/^\d+: t14 d7: -?[01](\.\d+)?$/);
  expect(quantization[0]!.rmse).toBeGreaterThan(0);
});

test("pi05_ki can write its actions in bins", async () => {
  const bins = ["--set", 'data.fastModelTokenizer={"type":"binning","bins":64}', "--num-steps", "1"];
  const run = await insula("train", "debug_pi05_ki", ...quick("ki-bins", ...bins));
  expect(run).toMatchObject({ code: 0, err: "" });
  expect(readMetrics(join(base, "ki-bins", "metrics.jsonl"))[0]!.fast_loss).toBeGreaterThan(0);
});
