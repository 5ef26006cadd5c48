import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSampleData } from "@insula/sample-data";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readMetrics } from "../src/metrics/jsonl.js";
import { normalizeFlags, runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-cli-"));
afterAll(() => rmSync(base, { recursive: true }));

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(args, { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test.each([
  ["trian"],
  ["train", "--log-dri", "x"],
  ["train", "--num_stepz", "3"],
  ["train", "--num-train-steps", "0"],
  ["train", "--size", "huge"],
  ["configs", "shwo"],
  ["train", "pi05_droid_ki", "extra"],
  ["evaluate"],
  [],
  ["train", "--exp-name", "../../elsewhere"],
  ["train", "--exp-name", ""],
])("wrong command line: %j", async (...args) => {
  const { code, err, out } = await insula(...args);
  expect({ code, err }).toMatchSnapshot();
  expect(out).toBe("");
});

test.each([
  ["train", "pi05_droid_kl"],
  ["train", "debug", "--config", "debug_pi05"],
  ["train", "--set", "batchsize=3"],
  ["train", "debug", "--resume", "--overwrite", "--log-dir", join(base, "both")],
  ["train", "pi0_libero", "--size", "tiny", "--log-dir", join(base, "libero"), "--set", "data.repoId=null"],
  ["evaluate", "--checkpoint", join(base, "nowhere")],
])("refused before any work: %j", async (...args) => {
  const { code, err } = await insula(...args);
  expect({ code, err: err.replaceAll(base, "BASE") }).toMatchSnapshot();
});

test("a log dir that cannot be written is refused before any work", async () => {
  const file = join(base, "file");
  writeFileSync(file, "");
  const { code, err, out } = await insula("train", "debug", "--log-dir", join(file, "run"));
  expect(code).toBe(1);
  expect(err).toMatch(/^error: --log-dir .* cannot write there \(ENOTDIR\).* \[run\/unwritable\]$/);
  expect(out).toBe("");
});

test("--plan-only prints the plan and touches nothing", async () => {
  const dir = join(base, "planned");
  const plan = await insula("train", "debug", "--log-dir", dir, "--plan-only");
  expect(plan).toMatchObject({ code: 0, err: "" });
  expect(plan.out).toMatch(
    /^run +debug .*\/planned\n +parameters +trained +memory .*\n-.*\nvlm .*\nexpert .*\nall .*\ntokens .*\nsteps .*\nmemory /,
  );
  expect(existsSync(dir)).toBe(false);
  mkdirSync(join(dir, "checkpoints", "9"), { recursive: true });
  for (const flags of [[], ["--overwrite"], ["--resume"]]) {
    const again = await insula("train", "debug", "--log-dir", dir, "--plan-only", ...flags);
    expect(again).toMatchObject({ code: 0, err: "" });
    expect(readdirSync(dir, { recursive: true }).sort()).toEqual(["checkpoints", join("checkpoints", "9")]);
  }
});

describe("a run that is there", () => {
  const dir = join(base, "run");
  let args: string[] = [];
  beforeAll(async () => {
    const { datasetDir } = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 });
    args = ["train", "debug_pi05_ki", "--log-dir", dir, "--threads", "1", "--set", "model.imageSize=28"];
    args.push("--dataset", datasetDir);
    const { code, err } = await insula(...args, "--num-steps", "1", "--set", "model.maxTokenLen=40");
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  /** Every file by path and content. */
  const contents = () =>
    Object.fromEntries(
      readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((path) => [path, readFileSync(path, "base64")]),
    );

  test("has told what it did in its log, from the first line", () => {
    const log = readFileSync(join(dir, "train.log"), "utf8");
    expect(log).toMatch(
      /^run +debug_pi05_ki [\s\S]*\ndata +[\s\S]*\nartifact +[\s\S]*\nwarning: by step 1, \d+ samples/,
    );
    expect(existsSync(join(dir, "assets", "droid", "norm_stats.json"))).toBe(true);
    expect(readMetrics(join(dir, "metrics.jsonl"))[0]).toMatchObject({ truncated: expect.any(Number) });
  });

  test.each([
    ["other settings", ["--resume", "--set", "seed=7"], "run/config-changed"],
    ["another text length", ["--resume"], "run/config-changed"],
    ["no dataset", ["--overwrite", "--dataset", join(base, "none")], "data/no-dataset"],
    ["no tokenizers", ["--overwrite", "--tokenizers", join(base, "none")], "data/no-tokenizer"],
    ["no weights", ["--overwrite", "--weights", join(base, "none")], "weights/missing"],
    ["too much memory", ["--overwrite", "--batch-size", "9000000"], "plan/memory"],
  ])("is left as it was by a run that is refused: %s", async (_, flags, code) => {
    const before = contents();
    const { err } = await insula(...args, "--num-steps", "2", ...flags);
    expect(err).toContain(`[${code}]`);
    expect(contents()).toEqual(before);
  });

  test("is evaluated by its step, however its path is spelt", async () => {
    const checkpoint = `${join(dir, "checkpoints", "1")}/`;
    const { out, err } = await insula(
      ...["evaluate", "--checkpoint", checkpoint, "--json", "--no-untrained", "--denoise-steps", "1"],
    );
    expect(err).toBe("");
    expect(JSON.parse(out)).toMatchObject({ step: 1 });
  });

  test("is deleted by --overwrite once nothing refuses the new one", async () => {
    writeFileSync(join(dir, "checkpoints", "old"), "");
    const { code, err } = await insula(...args, "--num-steps", "1", "--overwrite");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(readdirSync(join(dir, "checkpoints"))).toEqual(["1"]);
    expect(readMetrics(join(dir, "metrics.jsonl"))).toHaveLength(1);
    expect(existsSync(join(dir, "assets", "droid", "norm_stats.json"))).toBe(true);
  });
});

test("a run has 30 seconds from a signal to the exit, as clusters grant", async () => {
  const { out } = await insula("train", "--help");
  expect(out.replaceAll(/\s+/g, " ")).toContain(
    "--grace-seconds <n> from SIGTERM or SIGINT to the exit, for a step and its checkpoint (default: 30)",
  );
});

test("evaluate --help says what 'untrained' is", async () => {
  const { out } = await insula("evaluate", "--help");
  expect(out.replace(/\s+/g, " ")).toContain("a freshly initialised model of the same configuration");
});

test("errors carry a stack only when asked for", async () => {
  process.env["INSULA_DEBUG"] = "1";
  try {
    expect((await insula("train", "nope_nope_nope")).err).toMatch(/\n +at /);
  } finally {
    delete process.env["INSULA_DEBUG"];
  }
  expect((await insula("train", "nope_nope_nope")).err).not.toMatch(/\n +at /);
});

test("flags may be spelt with underscores; values are left alone", () => {
  expect(normalizeFlags(["train", "--num_steps", "3", "--log_dir=a_b", "--set", "x_y=1", "-v"])).toEqual([
    "train",
    "--num-train-steps",
    "3",
    "--log-dir=a_b",
    "--set",
    "x_y=1",
    "-v",
  ]);
});

test("configs", async () => {
  const list = await insula("configs");
  expect(list.code).toBe(0);
  expect(list.out).toMatch(/pi05_droid_ki +pi05_ki +32\/50\/256 +droid +30000 x 32 +embedded sample data/);
  const show = await insula("configs", "show", "pi05_droid_ki", "--size", "tiny", "--set", "seed=7");
  expect(JSON.parse(show.out)).toMatchObject({
    name: "pi05_droid_ki",
    seed: 7,
    model: { vlm: { width: 64 } },
  });
});

test("help lists every command and exits with 0", async () => {
  const { code, out } = await insula("--help");
  expect(code).toBe(0);
  for (const name of ["train", "evaluate", "norm-stats", "export-artifact", "configs", "verify", "doctor"]) {
    expect(out).toMatch(new RegExp(`^  ${name} `, "m"));
  }
});

test("doctor finds the runtime", async () => {
  const { code, out } = await insula("doctor", "--json");
  expect(code).toBe(0);
  const findings = JSON.parse(out) as { part: string; state: string; detail: string }[];
  const of = (part: string) => findings.find((f) => f.part === part);
  expect(of("node")).toMatchObject({ state: "ok", detail: expect.stringContaining(process.version) });
  expect(of("onnxruntime")?.detail).toMatch(/^1\.\d+\.\d+; .*libonnxruntime\.so/);
});

test("export-artifact writes the models and their manifest", async () => {
  const out = join(base, "artifact");
  const { code, out: text } = await insula(
    ...["export-artifact", "debug_pi05_ki", "--out", out, "--set", "model.imageSize=28", "--batch-size", "1"],
  );
  expect(code).toBe(0);
  expect(readdirSync(out).sort()).toEqual([
    "denoise_model.onnx",
    "eval_model.onnx",
    "manifest.json",
    "optimizer_model.onnx",
    "prefix_model.onnx",
    "training_model.onnx",
    "training_model_128.onnx",
    "training_model_192.onnx",
    "training_model_64.onnx",
  ]);
  const manifest = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
  expect(text).toContain(manifest.artifactHash);
  expect(existsSync(join(out, "training_model.onnx"))).toBe(true);
});
