import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
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
  expect(of("onnxruntime")?.detail).toMatch(/^onnxruntime-node 1\.\d+\.\d+, providers .*cpu/);
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
  ]);
  const manifest = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
  expect(text).toContain(manifest.artifactHash);
  expect(existsSync(join(out, "training_model.onnx"))).toBe(true);
});
