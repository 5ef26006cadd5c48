/** Checksums, shards, what is kept, the best, and checkpoints that lie elsewhere. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { stepsToDelete } from "../src/checkpoint/prune.js";
import { codeVersion } from "../src/checkpoint/version.js";
import {
  findCheckpoint,
  latestWhole,
  linkBest,
  listCheckpoints,
  readCheckpoint,
  readParams,
  saveCheckpoint,
} from "../src/checkpoint.js";
import type { RunConfig } from "../src/configs/types.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { openRunDir, type RunDirOptions } from "../src/run-dir.js";
import { type TrainParts, train } from "../src/train.js";
import { toyConfig, toyParts } from "./toy.js";

const base = mkdtempSync(join(tmpdir(), "insula-keeping-"));
afterAll(() => rmSync(base, { recursive: true }));

async function run(
  dir: string,
  config: RunConfig,
  options: RunDirOptions = {},
  wrap: (parts: TrainParts) => TrainParts = (parts) => parts,
): Promise<string[]> {
  const lines: string[] = [];
  const opened = await openRunDir(dir, options);
  if (opened.note) lines.push(opened.note);
  const parts = await toyParts(config);
  try {
    await train(wrap(parts), { run: opened, log: (line) => lines.push(line) });
  } finally {
    await parts.session.release();
  }
  return lines;
}

const flip = (path: string) => {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
};

test("checksums list every file, and are those of the files", async () => {
  const dir = join(base, "sums");
  await run(dir, toyConfig({ numTrainSteps: 1 }));
  const step = join(dir, "checkpoints", "1");
  const { algorithm, files } = JSON.parse(readFileSync(join(step, "checksums.json"), "utf8"));
  expect(algorithm).toBe("sha256");
  const there = readdirSync(step, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  expect(Object.keys(files)).toHaveLength(there.length - 1);
  for (const [path, { bytes, sha256 }] of Object.entries<{ bytes: number; sha256: string }>(files)) {
    const content = readFileSync(join(step, path));
    expect(bytes, path).toBe(content.length);
    expect(sha256, path).toBe(createHash("sha256").update(content).digest("hex"));
  }
  const { version } = JSON.parse(readFileSync(join(step, "version.json"), "utf8"));
  expect(version).toBe(await codeVersion());
  expect(version).toMatch(/^v?\d+\.\d+/);
});

test("a damaged checkpoint is not resumed from: the one before is, the same numbers come out, nothing is lost", async () => {
  const more = { saveInterval: 2, maxToKeep: 3, keepPeriod: null };
  const whole = join(base, "undamaged");
  await run(whole, toyConfig({ ...more, numTrainSteps: 8 }));
  const dir = join(base, "damaged");
  await run(dir, toyConfig({ ...more, numTrainSteps: 6 }));
  const root = join(dir, "checkpoints");
  expect(await listCheckpoints(root)).toEqual([2, 4, 6]);
  const bad = join(root, "6", "train_state", "nu.safetensors");
  flip(bad);

  const lines = await run(dir, toyConfig({ ...more, numTrainSteps: 8 }), { resume: true });
  expect(lines[0]).toMatch(
    /^WARNING: .*6\/train_state\/nu.safetensors: expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}. Continuing from step 4/,
  );
  expect(lines[1]).toBe("resumed from step 4");
  expect(readdirSync(root).sort()).toEqual(["4", "6", "6.damaged", "8"]);
  const { config: _, ...found } = await readCheckpoint(join(root, "8"));
  const { config: __, ...expected } = await readCheckpoint(join(whole, "checkpoints", "8"));
  expect(found).toEqual(expected);
  expect(readMetrics(join(dir, "metrics.jsonl")).map((row) => row.total)).toEqual(
    readMetrics(join(whole, "metrics.jsonl")).map((row) => row.total),
  );

  for (const step of await listCheckpoints(root)) flip(join(root, String(step), "config.json"));
  await expect(openRunDir(dir, { resume: true })).rejects.toThrow(
    /checkpoints: no checkpoint is whole: .*8\/config.json: expected sha256 .*4\/config.json.*--overwrite/,
  );
});

test("whoever reads a cut file is told what was expected and where to turn", async () => {
  const dir = join(base, "cut");
  await run(dir, toyConfig({ numTrainSteps: 4, saveInterval: 2, maxToKeep: 2 }));
  const step = join(dir, "checkpoints", "4");
  const file = join(step, "params", "params.safetensors");
  const { size } = statSync(file);
  truncateSync(file, 1000);
  const message =
    `${file}: expected ${size} bytes, found 1000 bytes; the checkpoint of step 2 is whole: ` +
    join(dir, "checkpoints", "2");
  await expect(readParams(step)).rejects.toMatchObject({ code: "checkpoint/damaged", message });
  await expect(readCheckpoint(step)).rejects.toMatchObject({ message });
  rmSync(file);
  await expect(readParams(step)).rejects.toThrow(`${file}: expected ${size} bytes, found no file`);
  expect((await latestWhole(join(dir, "checkpoints"))).step).toBe(2);
});

test.each([0.9, null])("in shards or whole, a checkpoint is the same (EMA %s)", async (emaDecay) => {
  const dir = join(base, `shards-${emaDecay}`);
  await run(dir, toyConfig({ numTrainSteps: 2, emaDecay }));
  const whole = await readCheckpoint(join(dir, "checkpoints", "2"));
  const root = join(dir, "sharded");
  const sharded = await saveCheckpoint(root, { ...whole, files: new Map() }, { shardBytes: 20_000 });
  const params = readdirSync(join(sharded, "params"));
  expect(params).toContain("params.safetensors.index.json");
  expect(params).toContain(`params-00001-of-0000${params.length - 1}.safetensors`);
  expect(await readCheckpoint(sharded)).toEqual(whole);
  // In both directions: shards give way to one file and back, at the same step.
  await saveCheckpoint(root, { ...whole, files: new Map() });
  expect(readdirSync(join(sharded, "params"))).toEqual(["params.safetensors"]);
  expect((await latestWhole(root)).step).toBe(2);
  expect(readdirSync(root)).toEqual(["2"]);
});

test("the rule of what stays", () => {
  const rule = { latest: 10, maxToKeep: 2, keepPeriod: 4, best: 3 };
  expect(stepsToDelete([1, 2, 3, 4, 6, 8, 9, 10, 11], rule)).toEqual([1, 2, 6]);
  expect(stepsToDelete([1, 2, 3, 10], { ...rule, maxToKeep: null })).toEqual([]);
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 9 }),
      fc.option(fc.integer({ min: 1, max: 9 })),
      fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
      (some, maxToKeep, keepPeriod, best) => {
        const steps = some.sort((a, b) => a - b);
        const latest = steps.at(-1)!;
        const gone = new Set(stepsToDelete(steps, { latest, maxToKeep, keepPeriod, best }));
        const kept = steps.filter((step) => !gone.has(step));
        expect(kept.slice(-maxToKeep)).toEqual(steps.slice(-maxToKeep));
        for (const step of gone) {
          expect(step).not.toBe(best);
          expect(keepPeriod !== null && step % keepPeriod === 0).toBe(false);
        }
        for (const step of kept.slice(0, -maxToKeep)) {
          expect(step === best || step % keepPeriod! === 0).toBe(true);
        }
      },
    ),
  );
});

test("best leads to the step with the lowest value, which is saved at once, kept, and known after a resume", async () => {
  const dir = join(base, "best");
  const root = join(dir, "checkpoints");
  const values = [9, 5, 2, 4, 3, 8, 1, 7];
  const told: (number | undefined)[] = [];
  const validating = (parts: TrainParts): TrainParts => ({
    ...parts,
    hooks: [
      async ({ row, best, validated }) => {
        told.push(best?.step);
        validated(values[row.step - 1]!);
      },
    ],
  });
  const more = { saveInterval: 5, maxToKeep: 1, keepPeriod: null };
  await run(dir, toyConfig({ ...more, numTrainSteps: 6 }), {}, validating);
  expect(told).toEqual([undefined, 1, 2, 3, 3, 3]);
  expect(await listCheckpoints(root)).toEqual([3, 6]);
  expect(readlinkSync(join(root, "best"))).toBe("3");
  expect(await findCheckpoint(join(root, "best"))).toBe(join(root, "3"));
  expect((await readCheckpoint(join(root, "best"))).state.step).toBe(3);

  rmSync(join(root, "best")); // killed between a save and its link
  told.length = 0;
  await run(dir, toyConfig({ ...more, numTrainSteps: 8 }), { resume: true }, validating);
  expect(told).toEqual([3, 7]);
  expect(await listCheckpoints(root)).toEqual([7, 8]);
  expect(readlinkSync(join(root, "best"))).toBe("7");
  await linkBest(root, { step: 3, value: 0 });
  expect(existsSync(join(root, "best"))).toBe(false); // a step that is gone is not led to
});

test("with a base folder, checkpoints lie there and the run's folder leads to them", async () => {
  const dir = join(base, "run");
  const checkpointDir = join(base, "disk", "pi05_droid_ki", "run");
  const config = (numTrainSteps: number) => toyConfig({ numTrainSteps });
  await run(dir, config(1), { checkpointDir });
  expect(await listCheckpoints(checkpointDir)).toEqual([1]);
  expect(await findCheckpoint(dir)).toBe(join(dir, "checkpoints", "1"));
  await expect(openRunDir(dir, { checkpointDir })).rejects.toMatchObject({ code: "run/exists" });
  // Resumed with and without naming it, and when only the checkpoints are left.
  await run(dir, config(2), { checkpointDir, resume: true });
  await run(dir, config(3), { resume: true });
  rmSync(dir, { recursive: true });
  await expect(openRunDir(dir, { checkpointDir })).rejects.toMatchObject({ code: "run/exists" });
  expect((await run(dir, config(4), { checkpointDir, resume: true }))[0]).toBe("resumed from step 3");
  expect(await listCheckpoints(checkpointDir)).toEqual([4]);
  await expect(openRunDir(dir, { checkpointDir: join(base, "other"), resume: true })).rejects.toMatchObject({
    code: "run/checkpoint-dir",
  });
  writeFileSync(join(checkpointDir, "notes.txt"), "");
  expect(await openRunDir(dir, { checkpointDir, overwrite: true })).toEqual({ dir });
  expect(readdirSync(checkpointDir)).toEqual(["notes.txt"]);
  await run(dir, config(1), { checkpointDir, resume: true });
  expect(await listCheckpoints(checkpointDir)).toEqual([1]);
});
