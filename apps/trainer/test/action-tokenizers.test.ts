/** @file Which action tokenizer a run uses, and training with each kind. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDroidExample } from "@insula/droid-policy";
import { type FastActionTokenizer, fitFastTokenizer, fsqParamShapes } from "@insula/fast-tokenizer";
import { saveFastTokenizer } from "@insula/fast-tokenizer/node";
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { type NdArray, sizeOf } from "@insula/model-types";
import { writeSafetensors } from "@insula/safetensors";
import { ensureSampleData, type SampleDataPaths } from "@insula/sample-data";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parseOverrides } from "../src/configs/overrides.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { RunConfig } from "../src/configs/types.js";
import { fsqFiles, loadFsq } from "../src/data/fsq-files.js";
import { findData } from "../src/data/source.js";
import { loadTokenizers, type Tokenizers } from "../src/data/tokenizers.js";
import { openTrainData } from "../src/data/train-data.js";
import { loadPolicy } from "../src/infer/load-policy.js";
import type { TokenAudit } from "../src/inspect/token-audit.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { runCli } from "../src/program.js";
import { makeRng } from "../src/rng.js";

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
  expect(fastOf(await tokenizersOf(plain)).scale).toBe(4);

  const text = join(base, "given", "text");
  mkdirSync(text, { recursive: true });
  cpSync(sample.textTokenizerPath, join(text, "tokenizer.json"));
  // A folder without FAST leaves the configuration its own; size full has no embedded text tokenizer, either.
  expect(fastOf(await tokenizersOf({ ...named, size: "full" }, join(base, "given"))).scale).toBe(7);
  cpSync(sample.fastTokenizerDir, join(base, "given", "fast"), { recursive: true });
  expect(fastOf(await tokenizersOf(named, join(base, "given"))).scale).toBe(4);
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
    const frame = await dataset.sample(10, { actionHorizon, actionKeys: ["actions"] });
    await dataset.close();
    const { state, actions, tokenized_prompt: tokens } = data.pipeline.inputs(data.pipeline.repack(frame));
    const { data: normalised, shape } = actions as NdArray<Float64Array>;
    const clipped = { data: normalised.map((x) => Math.min(Math.max(x, -1), 1)), shape };
    const back = data.pipeline.outputs({ state: state!, actions: tokens! });
    const { q01, q99 } = data.stats["actions"]!;
    const through = (chunk: NdArray) =>
      (data.pipeline.unnormalized({ state: state!, actions: chunk })["actions"] as NdArray).data;
    return {
      normalised: { data: normalised, shape },
      /** A normalised chunk in the robot's units. */
      through,
      config: data.config,
      /** The recorded actions, as near as −1…1 allows. */
      clipped: through(clipped) as Float64Array,
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

const OPENPI_FSQ = join(import.meta.dirname, "fsq-openpi", "checkpoint");

/** A folder of an FSQ tokenizer for the sample data's chunks, with weights of noise. */
async function noiseFsq(name: string): Promise<string> {
  const dir = join(base, name);
  const sizes = { embed_dim: 64, data_dim: 8, data_horizon: 15, num_tokens: 5, num_layers: 1 };
  const fsq = { ...sizes, target_codebook_size: 256, bound: 2 };
  const { normal } = makeRng({ seed: 0, purpose: "noise" });
  const params = new Map(
    [...fsqParamShapes(fsq)].map(([tensor, shape]) => {
      const data = normal(new Float32Array(sizeOf(shape))).map((x) => x / Math.sqrt(shape[0] ?? 1));
      return [tensor, { data, shape }];
    }),
  );
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "config.json"), JSON.stringify(fsq));
  await writeSafetensors(join(dir, "params.safetensors"), params);
  return dir;
}

test("an orbax checkpoint of openpi's is an FSQ tokenizer, by its folder or its step's", async () => {
  for (const path of [OPENPI_FSQ, join(OPENPI_FSQ, "2000")]) {
    const fsq = await loadFsq(path);
    expect(fsq.config).toMatchObject({ embed_dim: 64, data_horizon: 15, num_tokens: 4, mlp_ratio: 2 });
    const names = [...fsqParamShapes(fsq.config).keys()].sort();
    const params = fsq.files.params as Map<string, NdArray>;
    // Every tensor holds its place among the names.
    for (const [i, name] of names.entries())
      expect([name, params.get(name)!.data[0]]).toEqual([name, i / 64]);
  }
  const copy = join(base, "copy");
  mkdirSync(copy);
  for (const [name, bytes] of fsqFiles(await loadFsq(OPENPI_FSQ))) writeFileSync(join(copy, name), bytes);
  const ids = [3, 1, 4, 255];
  expect((await loadFsq(copy)).decode(ids)).toEqual((await loadFsq(OPENPI_FSQ)).decode(ids));
});

test("without FSQ's files it is said how to get them", async () => {
  const text = (tokenizers?: string, ...set: string[]) =>
    tokenizersOf(resolve("paligemma_vq_droid", "tiny", ...set), tokenizers);
  await expect(text()).rejects.toMatchInlineSnapshot(
    `[InsulaError: data.fastModelTokenizer.path: gs://openpi-assets/tokenizers/droid_fsq_tokenizer: cloud addresses are not fetched. Download it and name the folder; or put the tokenizer into fsq/ of a --tokenizers folder]`,
  );
  await expect(text(undefined, "data.fastModelTokenizer.path=null")).rejects.toMatchInlineSnapshot(
    `[InsulaError: data.fastModelTokenizer.path: expected a folder, found null; or put the tokenizer into fsq/ of a --tokenizers folder]`,
  );
  await expect(text(undefined, "data.fastModelTokenizer.path=nowhere")).rejects.toMatchInlineSnapshot(
    `[InsulaError: data.fastModelTokenizer.path: nowhere: no FSQ tokenizer: expected config.json and params.safetensors, or openpi's <step>/config and <step>/params; or put the tokenizer into fsq/ of a --tokenizers folder]`,
  );
  mkdirSync(join(base, "no-fsq", "fsq"), { recursive: true });
  cpSync(sample.textTokenizerPath, join(base, "no-fsq", "text", "tokenizer.json"));
  await expect(text(join(base, "no-fsq"))).rejects.toMatchObject({
    code: "data/no-tokenizer",
    message: `${join(base, "no-fsq", "fsq")}: no FSQ tokenizer: expected config.json and params.safetensors, or openpi's <step>/config and <step>/params`,
  });
  const other = await noiseFsq("broken");
  writeFileSync(join(other, "config.json"), "{");
  await expect(loadFsq(other)).rejects.toThrow(/^.*config\.json: cannot read it as JSON: /);
});

test("paligemma_vq_droid: two steps, resumed to four, equal to four; evaluated, served and inspected", {
  timeout: 120_000,
}, async () => {
  const dir = await noiseFsq("fsq");
  const set = ["--set", `data.fastModelTokenizer.path=${dir}`];
  const train = (run: string, ...more: string[]) =>
    insula("train", "paligemma_vq_droid", ...quick(run, ...set, ...more));
  expect(await train("vq", "--num-steps", "2")).toMatchObject({ code: 0, err: "" });
  expect(await train("vq", "--num-steps", "4", "--resume")).toMatchObject({ code: 0, err: "" });
  expect(await train("vq-four", "--num-steps", "4")).toMatchObject({ code: 0, err: "" });
  const losses = (run: string) => readMetrics(join(base, run, "metrics.jsonl")).map((row) => row.fast_loss);
  expect(losses("vq")).toEqual(losses("vq-four"));
  expect(losses("vq")).toHaveLength(4);

  const named = resolve("paligemma_vq_droid", "tiny", `data.fastModelTokenizer.path=${dir}`);
  const [fsq, data] = [await loadFsq(dir), await roundTrip(named)];
  // The sequence holds the ids of the normalised chunk: what they mean is what the run's outputs say.
  expect(data.decoded).toEqual(data.through(fsq.decode(fsq.encode(data.normalised)).actions));

  const audit = await insula(
    ...["inspect", "tokens", "paligemma_vq_droid", "--size", "tiny", "--dataset", sample.datasetDir],
    ...["--samples", "3", "--json", ...set],
  );
  const { example } = JSON.parse(audit.out) as TokenAudit;
  const ids = example!.tokens.filter((row) => row.kind === "fsq");
  expect(ids.map((row) => row.piece.split(": ")[1])).toEqual([
    "1 of 5",
    "2 of 5",
    "3 of 5",
    "4 of 5",
    "5 of 5",
  ]);

  // A checkpoint carries its tokenizer.
  rmSync(dir, { recursive: true });
  const checkpoint = join(base, "vq", "checkpoints", "4");
  expect(readdirSync(join(checkpoint, "tokenizers", "fsq")).sort()).toEqual([
    "config.json",
    "params.safetensors",
  ]);
  const evaluated = await insula("evaluate", "--checkpoint", checkpoint, "--stride", "60", "--json");
  expect(evaluated).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(evaluated.out).trained).toHaveLength(8);
  const { policy } = await loadPolicy({ checkpoint, backend: { device: "cpu" } });
  const { actions } = await policy.infer(makeDroidExample({ seed: 1 }));
  await policy.release();
  expect((actions as NdArray).shape).toEqual([15, 8]);
});
