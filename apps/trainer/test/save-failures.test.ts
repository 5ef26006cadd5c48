/** Disks that are full and folders that cannot be written: real limits of the operating system. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { listCheckpoints, readCheckpoint } from "../src/checkpoint.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { openRunDir } from "../src/run-dir.js";
import { train } from "../src/train.js";
import { toyConfig, toyParts } from "./toy.js";
import { startToy } from "./toy-process.js";

const base = mkdtempSync(join(tmpdir(), "insula-full-"));
afterAll(() => rmSync(base, { recursive: true }));

/** Files of at most so many bytes: the 73 kB of the toy's parameters do not fit, nor do some 25 rows of metrics. */
const LIMIT = 10_000;
const hasPrlimit = spawnSync("prlimit", ["--version"]).status === 0;

test.runIf(hasPrlimit)(
  "what cannot be written waits: training goes on, and all is written when there is room",
  async () => {
    const dir = join(base, "waits");
    const config = { numTrainSteps: 100, saveInterval: 10, saveRetrySeconds: 0.1, maxSaveFailures: 50 };
    const toy = startToy({ dir, config, stepMs: 10 }, ["prlimit", `--fsize=${LIMIT}:unlimited`]);
    await toy.printed(/step +50\/100/);
    const before = toy.output();
    expect(before).toMatch(
      /ERROR: .*checkpoints\/\d+: could not save the checkpoint \(EFBIG\): failure 1 of 50, there is none yet; next try in/,
    );
    expect(before).toMatch(/ERROR: .*metrics.jsonl cannot be written \(EFBIG\): rows wait in memory/);
    expect(await listCheckpoints(join(dir, "checkpoints"))).toEqual([]);
    spawnSync("prlimit", [`--pid=${toy.process.pid}`, "--fsize=unlimited"]);
    expect(await toy.ended, toy.output()).toMatchObject({ code: 0 });
    expect(toy.output()).toMatch(/saving works again; failed tries: \d+/);
    expect(await listCheckpoints(join(dir, "checkpoints"))).toEqual([100]);
    expect(readMetrics(join(dir, "metrics.jsonl")).map((row) => row.step)).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  },
);

/** A run in whose folder `checkpoints` is a plain file after two steps: nobody, root included, can save there. */
async function starve(name: string, more: Parameters<typeof toyConfig>[0], abortAfter?: number) {
  const dir = join(base, name);
  const config = toyConfig({ saveInterval: 2, numTrainSteps: 12, saveRetrySeconds: 0, ...more });
  const parts = await toyParts(config);
  const lines: string[] = [];
  const controller = new AbortController();
  let steps = 0;
  const session: typeof parts.session = {
    ...parts.session,
    async step(...args) {
      if (++steps === 4) {
        renameSync(join(dir, "checkpoints"), join(dir, "away"));
        writeFileSync(join(dir, "checkpoints"), "");
      }
      if (steps === abortAfter) controller.abort();
      return parts.session.step(...args);
    },
  };
  const result = train(
    { ...parts, session },
    { run: await openRunDir(dir), log: (line) => lines.push(line), signal: controller.signal },
  ).finally(() => parts.session.release());
  const error = await result.then(
    () => undefined,
    (e: Error & { code: string }) => e,
  );
  return { dir, lines, error, config };
}

test("after maxSaveFailures the run ends, with a last checkpoint elsewhere that can be resumed from", async () => {
  const emergencyDir = join(base, "elsewhere");
  const { dir, lines, error } = await starve("ends", { maxSaveFailures: 3, emergencyDir });
  expect(
    lines.filter((line) => line.startsWith("ERROR")).map((line) => /failure \d of 3/.exec(line)?.[0]),
  ).toEqual(["failure 1 of 3", "failure 2 of 3"]);
  expect(error).toMatchObject({ code: "checkpoint/gave-up" });
  // Steps 4, 5 and 6: a retry does not wait for the next interval.
  const saved = join(emergencyDir, "pi05_droid_ki", "ends", "6");
  expect(error!.message).toContain(
    `failure 3 of 3 (maxSaveFailures). The run ends after step 6. An emergency checkpoint is in ${saved}`,
  );
  expect(readdirSync(join(dir, "away"))).toEqual(["2"]);
  expect(readMetrics(join(dir, "metrics.jsonl"))).toHaveLength(6);

  // As the message says: move it where it belongs, and resume.
  rmSync(join(dir, "checkpoints"));
  renameSync(join(dir, "away"), join(dir, "checkpoints"));
  renameSync(saved, join(dir, "checkpoints", "6"));
  const config = toyConfig({ saveInterval: 2, numTrainSteps: 12 });
  const finish = async (to: string) => {
    const parts = await toyParts(config);
    await train(parts, { run: await openRunDir(to, { resume: true }), log: () => undefined });
    await parts.session.release();
    const { config: _, ...rest } = await readCheckpoint(join(to, "checkpoints", "12"));
    return rest;
  };
  expect(await finish(dir)).toEqual(await finish(join(base, "undisturbed")));
});

test("without an emergency folder the loss is said", async () => {
  const { error } = await starve("lost", { maxSaveFailures: 1 });
  expect(error!.message).toMatch(
    /failure 1 of 1 .*No emergencyDir is configured: steps since the last checkpoint/,
  );
});

test("interrupted, there is no time to wait: the emergency folder at once", async () => {
  const emergencyDir = join(base, "hurried");
  mkdirSync(emergencyDir);
  const { error } = await starve("stopped", { maxSaveFailures: 9, emergencyDir, saveInterval: 100 }, 5);
  expect(error!.message).toMatch(
    /failure 1 of 9 \(maxSaveFailures\), and no time for more. The run ends after step 5/,
  );
  expect(await listCheckpoints(join(emergencyDir, "pi05_droid_ki", "stopped"))).toEqual([5]);
});

/** Nobody, root included, can save where a folder should be and is none. */
function block(dir: string): void {
  rmSync(join(dir, "checkpoints"), { recursive: true });
  writeFileSync(join(dir, "checkpoints"), "");
}

test("a signal while the last save waits to be tried again: once more, then the emergency folder", async () => {
  const emergencyDir = join(base, "rescue");
  const dir = join(base, "waiting");
  // The next try would be ten minutes away.
  const config = { numTrainSteps: 3, saveInterval: 100, saveRetrySeconds: 600, emergencyDir };
  const toy = startToy({ dir, config, stepMs: 300 });
  await toy.printed(/step +1\/3/);
  block(dir);
  await toy.printed(/failure 1 of 5, there is none yet; next try in 10m/);
  toy.process.kill("SIGTERM");
  const begin = performance.now();
  expect(await toy.ended, toy.output()).toEqual({ code: 143, signal: null });
  expect(performance.now() - begin).toBeLessThan(5000);
  const saved = join(emergencyDir, "pi05_droid_ki", "waiting", "3");
  expect(toy.output()).toContain(
    `failure 2 of 5 (maxSaveFailures), and no time for more. The run ends after step 3. An emergency checkpoint is in ${saved}: ` +
      `move it to ${join(dir, "checkpoints", "3")} and --resume`,
  );
  expect((await readCheckpoint(saved)).state.step).toBe(3);
});

test("a signal while the last save waits finds the folder again: no emergency", async () => {
  const emergencyDir = join(base, "unneeded");
  const dir = join(base, "again");
  const config = { numTrainSteps: 3, saveInterval: 100, saveRetrySeconds: 600, emergencyDir };
  const toy = startToy({ dir, config, stepMs: 300 });
  await toy.printed(/step +1\/3/);
  block(dir);
  await toy.printed(/failure 1 of 5/);
  rmSync(join(dir, "checkpoints"));
  toy.process.kill("SIGINT");
  expect(await toy.ended, toy.output()).toEqual({ code: 130, signal: null });
  expect(await listCheckpoints(join(dir, "checkpoints"))).toEqual([3]);
  expect(existsSync(emergencyDir)).toBe(false);
});
