/** When a saver tries: intervals, a new best, and after failures. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ParamTree } from "@insula/ki-model";
import { afterAll, expect, test } from "vitest";
import { listCheckpoints } from "../src/checkpoint.js";
import { makeRng } from "../src/rng.js";
import { createSaver } from "../src/train/saver.js";
import type { Position } from "../src/train/start.js";
import { toyConfig } from "./toy.js";

const base = mkdtempSync(join(tmpdir(), "insula-saver-"));
afterAll(() => rmSync(base, { recursive: true }));

const tree = (): ParamTree => new Map([["w", { data: Float32Array.of(1), shape: [1] }]]);

/** A saver over a one-number model, and a clock that is set by hand. */
function makeSaver(name: string, more: Parameters<typeof toyConfig>[0], seconds = { now: 0 }) {
  const root = join(base, name, "checkpoints");
  const config = toyConfig({ numTrainSteps: 1000, maxToKeep: null, emaDecay: null, ...more });
  const position: Position = {
    step: 0,
    loader: undefined,
    noise: makeRng({ seed: 1, purpose: "noise" }),
    best: undefined,
  };
  const lines: string[] = [];
  const saver = createSaver(root, {
    config,
    session: { state: async () => ({ step: position.step, params: tree(), mu: tree(), nu: tree() }) },
    files: new Map(),
    log: (line) => lines.push(line),
    clock: () => 1000 * seconds.now,
    start: { step: 0, best: undefined },
  });
  return { root, saver, position, lines, seconds };
}

test("a save is due every saveInterval and at a new best step, and only there", async () => {
  const { root, saver, position } = makeSaver("due", { saveInterval: 4 });
  for (let step = 1; step <= 10; step++) {
    position.step = step;
    if (step === 6) position.best = { step, value: 0.5 };
    await saver.afterStep(position);
  }
  expect(await listCheckpoints(root)).toEqual([4, 6, 8]);
  await saver.atEnd(position);
  await saver.atEnd(position);
  expect(await listCheckpoints(root)).toEqual([4, 6, 8, 10]);
});

test("a failed save is tried again after saveRetrySeconds, then after twice as long", async () => {
  // Due after every third step, every 30 s: while saving fails that does not count.
  const config = { saveInterval: 3, saveRetrySeconds: 40, maxSaveFailures: 4 };
  const { root, saver, position, lines, seconds } = makeSaver("retry", config);
  writeFileSync(join(base, "retry"), ""); // where a folder should be
  const tried: number[] = [];
  const run = async (until: number) => {
    for (; seconds.now <= until; seconds.now += 10) {
      position.step += 1;
      if (position.step === 4) position.best = { step: 4, value: 1 };
      const before = lines.length;
      await saver.afterStep(position);
      if (lines.length > before) tried.push(seconds.now);
    }
  };
  await run(290);
  expect(tried).toEqual([20, 60, 140]);
  expect(lines.at(-1)).toMatch(/failure 3 of 4, there is none yet; next try in 2m/);
  expect(position.best).toBeUndefined(); // a best step that could not be saved is none
  rmSync(join(base, "retry"));
  await run(330);
  expect(tried).toEqual([20, 60, 140, 300, 320]); // then at its intervals again
  expect(lines.slice(-3)).toEqual([
    "saving works again; failed tries: 3",
    expect.stringMatching(/^saved .*\/31$/),
    expect.stringMatching(/^saved .*\/33$/),
  ]);
  expect(await listCheckpoints(root)).toEqual([31, 33]);
});
