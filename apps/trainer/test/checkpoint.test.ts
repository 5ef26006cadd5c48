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
import type { ParamTree } from "@insula/ki-model";
import { afterAll, expect, test } from "vitest";
import {
  type Checkpoint,
  findCheckpoint,
  listCheckpoints,
  readCheckpoint,
  readParams,
  saveCheckpoint,
} from "../src/checkpoint.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { makeRng } from "../src/rng.js";
import { checkRunDir, openRunDir } from "../src/run-dir.js";

const base = mkdtempSync(join(tmpdir(), "insula-checkpoint-"));
afterAll(() => rmSync(base, { recursive: true }));

const config = resolveConfig(getConfig("pi05_droid_ki"), { size: "tiny" });
const rng = makeRng({ seed: 1, purpose: "test" });
const tree = (): ParamTree =>
  new Map([
    ["PaliGemma/llm/embedder/input_embedding", { data: rng.normal(new Float32Array(6)), shape: [3, 2] }],
    ["action_in_proj/bias", { data: rng.normal(new Float32Array(2)), shape: [2] }],
  ]);

function checkpoint(step: number, more: Partial<typeof config> = {}): Checkpoint {
  const run = { ...config, ...more };
  return {
    config: run,
    state: {
      step,
      params: tree(),
      mu: tree(),
      nu: tree(),
      ...(run.emaDecay === null ? {} : { ema: tree() }),
    },
    progress: { rng: { noise: rng.state() }, loader: { epoch: 2, position: 17 } },
    files: new Map<string, string | Uint8Array>([
      ["assets/physical-intelligence/libero/norm_stats.json", "{}"],
      ["tokenizers/text.json", Uint8Array.of(1, 2)],
    ]),
  };
}

test.each([0.99, null])("a checkpoint reads back whole (EMA %s)", async (emaDecay) => {
  const root = join(base, `whole-${emaDecay}`);
  const saved = checkpoint(7, { emaDecay });
  const dir = await saveCheckpoint(root, saved);
  const { files, ...rest } = saved;
  expect(await readCheckpoint(dir)).toEqual(rest);
  expect(await readParams(dir)).toEqual(saved.state.ema ?? saved.state.params);
  expect(readdirSync(dir).sort()).toEqual([
    ...["assets", "checksums.json", "config.json", "params", "tokenizers", "train_state", "version.json"],
  ]);
  expect(existsSync(join(dir, "train_state", "params.safetensors"))).toBe(emaDecay !== null);
  expect(readFileSync(join(dir, "tokenizers", "text.json"))).toEqual(Buffer.of(1, 2));
  expect(await findCheckpoint(root)).toBe(dir);
  expect(await findCheckpoint(dir)).toBe(dir);
});

test("the latest and every keepPeriod-th are kept", async () => {
  const root = join(base, "keep");
  for (const step of [2, 4, 6, 8, 10, 12, 14])
    await saveCheckpoint(root, checkpoint(step, { keepPeriod: 6 }));
  expect(await listCheckpoints(root)).toEqual([6, 12, 14]);
  await saveCheckpoint(root, checkpoint(16, { keepPeriod: null }));
  expect(await listCheckpoints(root)).toEqual([16]);
});

test("a half-written checkpoint is not one, and the next save of the step replaces it", async () => {
  const root = join(base, "half");
  await saveCheckpoint(root, checkpoint(1));
  mkdirSync(join(root, "2.partial", "params"), { recursive: true });
  writeFileSync(join(root, "2.partial", "params", "params.safetensors"), "cut");
  expect(await listCheckpoints(root)).toEqual([1]);
  await saveCheckpoint(root, checkpoint(2));
  expect(readdirSync(root)).toEqual(["2"]);
});

test("what killed saves of other steps left behind is deleted, and nothing else", async () => {
  const root = join(base, "stale");
  for (const name of ["3.partial", "40.partial", "notes.partial"]) {
    mkdirSync(join(root, name, "params"), { recursive: true });
  }
  await saveCheckpoint(root, checkpoint(5));
  expect(readdirSync(root).sort()).toEqual(["5", "notes.partial"]);
});

test("a save that fails leaves the previous checkpoint and no rubbish", async () => {
  const root = join(base, "fail");
  await saveCheckpoint(root, checkpoint(1));
  const bad = checkpoint(2);
  await expect(
    saveCheckpoint(root, { ...bad, files: new Map([["params/params.safetensors/x", "collides"]]) }),
  ).rejects.toThrow(/fail\/2: could not save the checkpoint \(E/);
  expect(readdirSync(root)).toEqual(["1"]);
});

test("missing and foreign folders are named", async () => {
  await expect(findCheckpoint(join(base, "nowhere"))).rejects.toThrow(
    /nowhere\/config.json: not there; expected a run's folder or one of its checkpoints/,
  );
  const dir = await saveCheckpoint(join(base, "gone"), checkpoint(1));
  rmSync(join(dir, "train_state", "nu.safetensors"));
  rmSync(join(dir, "checksums.json")); // as checkpoints of 0.1.0 are
  await expect(readCheckpoint(dir)).rejects.toMatchObject({ code: "checkpoint/missing" });
});

test("start rules", async () => {
  const dir = join(base, "run");
  expect(await openRunDir(dir)).toEqual({ dir });
  writeFileSync(join(dir, "notes.txt"), "mine");
  expect(await openRunDir(dir)).toEqual({ dir }); // foreign files are no run
  writeFileSync(join(dir, "metrics.jsonl"), "");
  await expect(openRunDir(dir)).rejects.toThrow(/run already holds a run. Use --overwrite or --resume/);
  expect(await openRunDir(dir, { resume: true })).toMatchObject({ note: expect.stringContaining("step 0") });
  await saveCheckpoint(join(dir, "checkpoints"), checkpoint(5));
  expect(await openRunDir(dir, { resume: true })).toEqual({ dir, resumeStep: 5 });
  await expect(openRunDir(dir, { resume: true, overwrite: true })).rejects.toMatchObject({
    code: "run/flags",
  });
  expect(await openRunDir(dir, { overwrite: true })).toEqual({ dir });
  expect(readdirSync(dir)).toEqual(["notes.txt"]); // and never deleted
});

test("checking a folder touches nothing", async () => {
  const dir = join(base, "checked", "run");
  expect(await checkRunDir(dir)).toEqual({ dir, damaged: [] });
  expect(existsSync(join(base, "checked"))).toBe(false);
  await saveCheckpoint(join(dir, "checkpoints"), checkpoint(5));
  expect(await checkRunDir(dir, { overwrite: true })).toEqual({ dir, damaged: [] });
  expect(await checkRunDir(dir, { resume: true })).toEqual({ dir, damaged: [], resumeStep: 5 });
  await expect(checkRunDir(dir)).rejects.toMatchObject({ code: "run/exists" });
  expect(await listCheckpoints(join(dir, "checkpoints"))).toEqual([5]);
  writeFileSync(join(base, "plain"), "");
  await expect(checkRunDir(join(base, "plain"))).rejects.toMatchObject({ code: "run/unwritable" });
});

test("a folder that cannot be written is named at once", async () => {
  const file = join(base, "file");
  writeFileSync(file, "");
  await expect(openRunDir(join(file, "run"))).rejects.toThrow(
    /--log-dir .*file\/run: cannot write there \(ENOTDIR\); choose/,
  );
});

test.runIf(process.platform === "linux")(
  "a file system that cannot hold folders is refused, not waited for",
  async () => {
    await expect(openRunDir("/proc/insula/run")).rejects.toThrow(
      /--log-dir \/proc\/insula\/run: cannot write there/,
    );
  },
);
