/** SIGKILL at random moments, most of them inside of saves: nothing is lost but the steps since the last checkpoint. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { latestWhole, readCheckpoint } from "../src/checkpoint.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { openRunDir } from "../src/run-dir.js";
import { train } from "../src/train.js";
import { toyConfig, toyParts } from "./toy.js";
import { startToy } from "./toy-process.js";

const base = mkdtempSync(join(tmpdir(), "insula-kill-"));
afterAll(() => rmSync(base, { recursive: true }));

const KILLS = process.env["INSULA_FULL"] === "1" ? 30 : 3;
/** A process takes some eight steps before it is killed. */
const more = { numTrainSteps: 10 * KILLS, saveInterval: 2, keepPeriod: null, maxToKeep: 2, logInterval: 1 };

const rows = (dir: string) =>
  readMetrics(join(dir, "metrics.jsonl")).map(({ step_ms, data_ms, samples_per_s, time, ...row }) => row);

test(`killed ${KILLS} times, resumed, a run ends bit for bit as one that was left alone`, async () => {
  const whole = join(base, "whole");
  const parts = await toyParts(toyConfig(more));
  await train(parts, { run: await openRunDir(whole), log: () => undefined });
  await parts.session.release();

  const dir = join(base, "killed");
  const root = join(dir, "checkpoints");
  const history: string[] = [];
  let insideSave = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const toy = startToy({ dir, config: more, resume: true, stepMs: 15 });
    const begun = Date.now();
    // Every fifth while it starts, the others between and inside of saves.
    await toy.printed(kill % 5 === 4 ? /resumed|starting/ : /step +\d+\//);
    const delay = Math.round(400 * Math.random());
    await sleep(delay);
    toy.process.kill("SIGKILL");
    const { signal } = await toy.ended;
    const fresh = (name: string) => statSync(join(root, name)).mtimeMs > begun;
    if (readdirSync(root).some((name) => name.endsWith(".partial") && fresh(name))) insideSave += 1;
    const { step = 0, damaged } = await latestWhole(root);
    history.push(`${delay} ms: ${signal ?? "had ended"}, step ${step}`);
    expect(damaged, history.join("\n")).toEqual([]);
  }
  const last = startToy({ dir, config: more, resume: true });
  expect(await last.ended, last.output()).toMatchObject({ code: 0 });

  if (KILLS > 3) {
    console.log(`${KILLS} kills, ${insideSave} inside of a save:\n${history.join("\n")}`);
    expect(insideSave).toBeGreaterThan(0);
  }

  expect(rows(dir)).toEqual(rows(whole));
  expect(rows(dir).map((row) => row.step)).toEqual(
    Array.from({ length: more.numTrainSteps }, (_, i) => i + 1),
  );
  const final = (run: string) => readCheckpoint(join(run, "checkpoints", String(more.numTrainSteps)));
  expect(await final(dir)).toEqual(await final(whole));
}, 600_000);
