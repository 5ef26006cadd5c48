/** Real signals to real processes: the whole command, and the loop on the toy model where time matters. */
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { latestWhole, listCheckpoints } from "../src/checkpoint.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { watchSignals } from "../src/train/signals.js";
import { startChild, startToy } from "./toy-process.js";

const base = mkdtempSync(join(tmpdir(), "insula-signals-"));
afterAll(() => rmSync(base, { recursive: true }));

/** The steps of a run that was stopped: all recorded, the last one saved. */
async function stoppedAt(dir: string): Promise<number> {
  const { step, damaged } = await latestWhole(join(dir, "checkpoints"));
  expect(damaged).toEqual([]);
  expect(readMetrics(join(dir, "metrics.jsonl")).at(-1)!.step).toBe(step);
  return step!;
}

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("%s during a step: the step is finished and saved, the exit code is %i", async (signal, code) => {
  const dir = join(base, signal);
  const toy = startToy({ dir, config: { numTrainSteps: 1000, saveInterval: 1000 }, stepMs: 300 });
  await toy.printed(/step +1\/1000/);
  toy.process.kill(signal);
  expect(await toy.ended, toy.output()).toEqual({ code, signal: null });
  expect(toy.output()).toContain(`${signal}: finishing this step and saving; once more leaves at once`);
  const step = await stoppedAt(dir);
  expect(toy.output()).toContain(`interrupted after step ${step}; --resume continues`);
});

test("a second signal leaves at once, and the checkpoint before is whole", async () => {
  const dir = join(base, "twice");
  const toy = startToy({ dir, config: { numTrainSteps: 9, saveInterval: 1 }, stepMs: 3000 });
  await toy.printed(/saved .*1\n/);
  toy.process.kill("SIGTERM");
  await toy.printed(/SIGTERM: finishing/);
  toy.process.kill("SIGINT");
  const begin = performance.now();
  expect(await toy.ended, toy.output()).toEqual({ code: 130, signal: null });
  expect(performance.now() - begin).toBeLessThan(1500); // half of a step
  expect((await latestWhole(join(dir, "checkpoints"))).damaged).toEqual([]);
});

test("what is not done in time is left: the exit code is the signal's, the checkpoint before is whole", async () => {
  const dir = join(base, "late");
  const config = { numTrainSteps: 9, saveInterval: 1 };
  const first = startToy({ dir, config: { ...config, numTrainSteps: 2 } });
  expect(await first.ended).toMatchObject({ code: 0 });
  const toy = startToy({ dir, config, resume: true, stepMs: 60_000, graceSeconds: 1 });
  await toy.printed(/resumed from step 2/);
  await sleep(1000); // into the step
  const begin = performance.now();
  toy.process.kill("SIGTERM");
  expect(await toy.ended, toy.output()).toEqual({ code: 143, signal: null });
  expect(performance.now() - begin).toBeGreaterThan(900);
  expect(performance.now() - begin).toBeLessThan(5000);
  expect(toy.output()).toMatch(
    /ERROR: SIGTERM: the step and its checkpoint were not done within 1 s \(--grace-seconds\)/,
  );
  expect(await listCheckpoints(join(dir, "checkpoints"))).toEqual([2]);
  expect(readdirSync(join(dir, "checkpoints"))).toEqual(["2"]);
  expect((await latestWhole(join(dir, "checkpoints"))).step).toBe(2);
});

/** Well below what the native call of `busy-run.ts` takes, which `process.exit` waits for. */
const AT_ONCE_MS = 5000;

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("a second %s leaves in the middle of a native call, with %i", async (signal, code) => {
  const busy = startChild("busy-run.ts", ["30", "0"]);
  await busy.printed(/busy/);
  busy.process.kill("SIGTERM");
  await busy.printed(/SIGTERM: finishing/);
  busy.process.kill(signal);
  const begin = performance.now();
  expect(await busy.ended, busy.output()).toEqual({ code, signal: null });
  expect(performance.now() - begin).toBeLessThan(AT_ONCE_MS);
  expect(busy.output()).not.toContain("done");
});

test("the end of the grace leaves in the middle of a native call, with all that was printed", async () => {
  const padding = 400_000; // six times what a pipe holds
  const busy = startChild("busy-run.ts", ["1", String(padding)]);
  await busy.printed(/busy/);
  const begin = performance.now();
  busy.process.kill("SIGINT");
  expect(await busy.ended).toEqual({ code: 130, signal: null });
  expect(performance.now() - begin).toBeGreaterThan(900);
  expect(performance.now() - begin).toBeLessThan(1000 + AT_ONCE_MS);
  const dots = ".".repeat(padding);
  const lines = busy.output().split("\n");
  expect(lines.map((line) => line.replace(dots, "…"))).toEqual([
    "busy",
    "SIGINT: finishing this step and saving; once more leaves at once…end",
    "ERROR: SIGINT: the step and its checkpoint were not done within 1 s (--grace-seconds). Leaving now: earlier " +
      "checkpoints are whole, and --resume continues from the last…end",
    "",
  ]);
});

test("a reader who does not read does not keep it", async () => {
  const busy = startChild("busy-run.ts", ["30", "2000000"]);
  await busy.printed(/busy/);
  const exited = once(busy.process, "exit");
  busy.process.kill("SIGTERM");
  await busy.printed(/SIGTERM: finishing/);
  busy.process.stdout!.pause();
  busy.process.kill("SIGTERM");
  const begin = performance.now();
  expect(await exited).toEqual([143, null]);
  expect(performance.now() - begin).toBeLessThan(AT_ONCE_MS);
  busy.process.stdout!.resume();
});

test("the live line is gone before the process is", () => {
  const told: string[] = [];
  const watch = watchSignals({
    graceSeconds: 30,
    log: (line) => told.push(line),
    live: { clear: () => told.push("cleared") },
    exit: (code) => told.push(`exit ${code}`),
  });
  onTestFinished(watch.release);
  process.emit("SIGTERM", "SIGTERM");
  process.emit("SIGINT", "SIGINT");
  expect(told).toEqual([
    "SIGTERM: finishing this step and saving; once more leaves at once",
    "cleared",
    "exit 130",
  ]);
});

test("insula train: SIGTERM, a checkpoint, 143", async () => {
  const dir = join(base, "command");
  const args = ["train", "debug_pi05_ki", "--log-dir", dir, "--threads", "1", "--set", "model.imageSize=28"];
  const command = startChild("cli-run.ts", [...args, "--num-train-steps", "500"]);
  await command.printed(/step +1\/500/);
  command.process.kill("SIGTERM");
  expect(await command.ended, command.output()).toEqual({ code: 143, signal: null });
  const step = await stoppedAt(dir);
  expect(command.output()).toContain(`interrupted after step ${step}`);
});
