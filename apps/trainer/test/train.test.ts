import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TrainSession } from "@insula/ki-model";
import { afterAll, expect, test } from "vitest";
import { readCheckpoint, saveCheckpoint } from "../src/checkpoint.js";
import type { RunConfig } from "../src/configs/types.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { openRunDir } from "../src/run-dir.js";
import { makeDiagnosis } from "../src/train/diagnose.js";
import { type TrainParts, train } from "../src/train.js";
import { toyConfig, toyParts } from "./toy.js";

const base = mkdtempSync(join(tmpdir(), "insula-train-"));
afterAll(() => rmSync(base, { recursive: true }));

async function run(
  name: string,
  config: RunConfig,
  more: {
    resume?: boolean;
    abortAfter?: number;
    wrap?: (parts: TrainParts) => TrainParts;
    clock?: () => number;
  } = {},
) {
  const lines: string[] = [];
  const parts = await toyParts(config);
  const controller = new AbortController();
  let steps = 0;
  const session: TrainSession = {
    ...parts.session,
    async step(...args) {
      const result = await parts.session.step(...args);
      if (++steps === more.abortAfter) controller.abort();
      return result;
    },
  };
  const { wrap = (p) => p } = more;
  const result = await train(wrap({ ...parts, session }), {
    run: await openRunDir(join(base, name), { resume: more.resume ?? false }),
    log: (line) => lines.push(line),
    signal: controller.signal,
    ...(more.clock ? { clock: more.clock } : {}),
  }).finally(() => parts.session.release());
  return { ...result, lines, dir: join(base, name) };
}

const losses = (dir: string) =>
  readMetrics(join(dir, "metrics.jsonl")).map(({ step, total, lr }) => ({ step, total, lr }));
const checkpointOf = async (dir: string, step: number) => {
  const { config, ...rest } = await readCheckpoint(join(dir, "checkpoints", String(step)));
  return rest;
};

test.each([0.9, null])(
  "two steps, a checkpoint, two more: bit for bit four steps (EMA %s)",
  async (emaDecay) => {
    const four = await run(`straight-${emaDecay}`, toyConfig({ numTrainSteps: 4, emaDecay }));
    await run(`halves-${emaDecay}`, toyConfig({ numTrainSteps: 2, emaDecay }));
    const halves = await run(`halves-${emaDecay}`, toyConfig({ numTrainSteps: 4, emaDecay }), {
      resume: true,
    });
    expect(halves.lines[0]).toBe("resumed from step 2");
    expect(losses(halves.dir)).toEqual(losses(four.dir));
    expect(losses(four.dir).map((r) => r.step)).toEqual([1, 2, 3, 4]);
    expect(await checkpointOf(halves.dir, 4)).toEqual(await checkpointOf(four.dir, 4));
  },
);

test("likewise in micro-batches, with several draws per sample", async () => {
  const settings = { gradientAccumulation: 2, flowDraws: 3 };
  const four = await run("parts-straight", toyConfig({ numTrainSteps: 4, ...settings }));
  await run("parts-halves", toyConfig({ numTrainSteps: 2, ...settings }));
  const halves = await run("parts-halves", toyConfig({ numTrainSteps: 4, ...settings }), { resume: true });
  expect(losses(halves.dir)).toEqual(losses(four.dir));
  expect(await checkpointOf(halves.dir, 4)).toEqual(await checkpointOf(four.dir, 4));
  // In one piece the same losses but for rounding; with one draw others.
  const whole = await run("parts-whole", toyConfig({ numTrainSteps: 4, flowDraws: 3 }));
  losses(whole.dir).forEach(({ total }, i) => {
    expect(losses(four.dir)[i]!.total / total).toBeCloseTo(1, 4);
  });
  expect(losses(whole.dir)[0]!.total / losses(four.dir)[0]!.total).toBeCloseTo(1, 6);
  const single = await run("parts-single", toyConfig({ numTrainSteps: 1 }));
  expect(Math.abs(losses(single.dir)[0]!.total / losses(four.dir)[0]!.total - 1)).toBeGreaterThan(1e-4);
});

test("the console's time to go counts what happens between steps, from the second step on", async () => {
  let seconds = 0;
  const { lines } = await run("eta", toyConfig({ numTrainSteps: 4, logInterval: 1 }), {
    clock: () => 1000 * seconds,
    wrap: ({ session, ...parts }) => ({
      ...parts,
      session: {
        ...session,
        async step(...args) {
          seconds += 10;
          return session.step(...args);
        },
      },
      hooks: [async () => void (seconds += 50)],
    }),
  });
  const told = lines.filter((line) => line.startsWith("step "));
  expect(told.map((line) => /ETA .*$/.exec(line)?.[0])).toEqual([
    "ETA 30s",
    "ETA 2m00s",
    "ETA 1m00s",
    "ETA 0s",
  ]);
});

test("whoever shows what goes on is told of every save, and when it is over", async () => {
  const told: (string | undefined)[] = [];
  await run("told", toyConfig({ numTrainSteps: 3, saveInterval: 2 }), {
    wrap: (parts) => ({ ...parts, activity: (what) => told.push(what) }),
  });
  expect(told).toEqual(["saving", undefined, "saving", undefined]); // after step 2, and at the end
});

test("a resumed run may be cut into other micro-batches, not into other draws", async () => {
  await run("recut", toyConfig({ numTrainSteps: 1 }));
  await run("recut", toyConfig({ numTrainSteps: 2, gradientAccumulation: 2 }), { resume: true });
  await expect(run("recut", toyConfig({ numTrainSteps: 3, flowDraws: 2 }), { resume: true })).rejects.toThrow(
    "flowDraws was 1 in the checkpoint and is 2 now",
  );
});

test("an abort finishes the step, saves, and a resumed run ends where an undisturbed one does", async () => {
  const config = toyConfig({ numTrainSteps: 5 });
  const whole = await run("whole", config);
  const cut = await run("cut", config, { abortAfter: 3 });
  expect(cut).toMatchObject({ step: 3, interrupted: true, checkpoint: join(cut.dir, "checkpoints", "3") });
  expect(cut.lines.at(-1)).toBe("interrupted after step 3; --resume continues");
  const rest = await run("cut", config, { resume: true });
  expect(rest).toMatchObject({ step: 5, interrupted: false });
  expect(await checkpointOf(rest.dir, 5)).toEqual(await checkpointOf(whole.dir, 5));
});

test("a run that ends with an error loses no step", async () => {
  const config = toyConfig({ numTrainSteps: 6, saveInterval: 2 });
  const whole = await run("undisturbed", config);
  const dies = run("killed", config, {
    wrap: (parts) => ({
      ...parts,
      openBatches: async (state, step) => {
        const batches = await parts.openBatches(state, step);
        let left = 5;
        const next = () => (left-- > 0 ? batches.next() : Promise.reject(new Error("disk gone")));
        return { ...batches, next };
      },
    }),
  });
  await expect(dies).rejects.toThrow("disk gone");
  const dir = join(base, "killed");
  expect(readdirSync(join(dir, "checkpoints"))).toEqual(["5"]);
  expect(losses(dir).map((r) => r.step)).toEqual([1, 2, 3, 4, 5]);
  await run("killed", config, { resume: true });
  expect(losses(dir)).toEqual(losses(whole.dir));
  expect(await checkpointOf(dir, 6)).toEqual(await checkpointOf(whole.dir, 6));
});

test.each([
  ["before it changes anything", 3, 3],
  ["half-way", 4, 2],
])(
  "a step that fails %s: what is saved is whole and goes on as if nothing had been",
  async (when, failing, saved) => {
    const config = toyConfig({ numTrainSteps: 6, saveInterval: 2 });
    const dies = run(when, config, {
      wrap: (parts) => {
        let taken = 0;
        const session: TrainSession = {
          ...parts.session,
          async step(...args) {
            if (failing === 3 && taken === failing) throw new Error("device gone");
            const result = await parts.session.step(...args);
            if (++taken === failing && failing === 4) throw new Error("device gone");
            return result;
          },
        };
        return { ...parts, session };
      },
    });
    await expect(dies).rejects.toThrow("device gone");
    const { dir } = await run(when, config, { resume: true }).then((rest) => {
      expect(rest.lines[0]).toBe(`resumed from step ${saved}`);
      return rest;
    });
    const whole = await run(`never ${when}`, config);
    expect(losses(dir)).toEqual(losses(whole.dir));
    expect(await checkpointOf(dir, 6)).toEqual(await checkpointOf(whole.dir, 6));
  },
);

test("a run leaves metrics, events, curves and a checkpoint with its files", async () => {
  const config = toyConfig({ numTrainSteps: 3, logInterval: 2 });
  const { dir, lines, last } = await run("files", config);
  expect(readdirSync(dir).map((n) => n.replace(/tfevents.*/, "tfevents"))).toEqual([
    "checkpoints",
    "config.json",
    "events.out.tfevents",
    "loss-curves.svg",
    "metrics.jsonl",
  ]);
  expect(Object.keys(last!)).toEqual(
    expect.arrayContaining(
      "step total fast_loss action_loss fast_accuracy grad_norm grad_norm_vlm grad_norm_expert lr samples_per_s".split(
        " ",
      ),
    ),
  );
  expect(last!.total).toBeCloseTo(last!.fast_loss! + last!.action_loss!, 5);
  expect(last!.grad_norm).toBeCloseTo(Math.hypot(last!.grad_norm_vlm!, last!.grad_norm_expert!), 4);
  expect(lines.filter((l) => l.startsWith("step ")).map((l) => l.slice(0, 8))).toEqual([
    "step 1/3",
    "step 2/3",
    "step 3/3",
  ]);
  expect(existsSync(join(dir, "checkpoints", "3", "assets", "droid", "norm_stats.json"))).toBe(true);
  expect(JSON.parse(readFileSync(join(dir, "config.json"), "utf8"))).toEqual(config);
});

test("resuming a finished run does nothing; resuming with other settings is refused by name", async () => {
  const config = toyConfig({ numTrainSteps: 1 });
  const { dir } = await run("finished", config);
  const before = losses(dir);
  expect(await run("finished", config, { resume: true })).toMatchObject({ step: 1, interrupted: false });
  expect(losses(dir)).toEqual(before);
  await expect(run("finished", toyConfig({ numTrainSteps: 2, seed: 7 }), { resume: true })).rejects.toThrow(
    "--resume: seed was 42 in the checkpoint and is 7 now; resume with the same settings, or start another run",
  );
  expect(JSON.parse(readFileSync(join(dir, "config.json"), "utf8"))).toEqual(config);
});

test("cut samples are warned of when the first is seen, and counted in every row, across a resume", async () => {
  // Two samples are cut in the second step that is read, three more in the third.
  const cutting = (parts: TrainParts): TrainParts => {
    let read = 0;
    return {
      ...parts,
      truncated: () => [0, 0, 2, 5][Math.min(read, 3)]!,
      openBatches: async (state, step) => {
        const batches = await parts.openBatches(state, step);
        return {
          ...batches,
          next: () => {
            read += 1;
            return batches.next();
          },
        };
      },
    };
  };
  const first = await run("truncated", toyConfig({ numTrainSteps: 3, logInterval: 1 }), { wrap: cutting });
  const at = first.lines.findIndex((line) => line.startsWith("warning:"));
  expect(first.lines[at]).toMatch(
    /^warning: by step 1, 2 samples had more tokens than maxTokenLen 12 and were cut/,
  );
  expect(first.lines[at + 1]).toMatch(/^step 1\/3/);
  expect(first.lines.filter((line) => line.startsWith("warning:"))).toHaveLength(1);
  const counts = () => readMetrics(join(first.dir, "metrics.jsonl")).map((row) => row.truncated);
  expect(counts()).toEqual([2, 5, 5]); // one batch is read ahead
  await run("truncated", toyConfig({ numTrainSteps: 4 }), { resume: true, wrap: cutting });
  expect(counts()).toEqual([2, 5, 5, 5]);
  const silent = await run("uncut", toyConfig({ numTrainSteps: 1 }), {
    wrap: (parts) => ({ ...parts, truncated: () => 0 }),
  });
  expect(silent.lines.some((line) => line.startsWith("warning:"))).toBe(false);
  expect(silent.last).toMatchObject({ truncated: 0 });
});

/** A run whose batches from the second to the last-but-one have NaN actions. */
function runWithNaN(
  name: string,
  bad: number,
  overrides: Parameters<typeof toyConfig>[0] = {},
  change: (parts: TrainParts) => TrainParts = (parts) => parts,
) {
  const config = toyConfig({ numTrainSteps: bad + 2, saveInterval: 1, keepPeriod: 1, ...overrides });
  return run(name, config, {
    wrap: (parts) => ({
      ...change(parts),
      openBatches: async (state, step) => {
        const batches = await parts.openBatches(state, step);
        let n = 0;
        return {
          ...batches,
          next: async () => {
            const item = await batches.next();
            if (++n >= 2 && n < bad + 2) item.batch.actions.data.subarray(-4).fill(Number.NaN);
            return { ...item, origins: [30, 31].map((frame) => ({ episode: 7, frame })) };
          },
        };
      },
    }),
  });
}

test("a batch whose loss is not finite changes nothing, is reported, and the run goes on", async () => {
  const { lines, last, dir } = await runWithNaN("skipped", 1);
  // The last four numbers of two samples of 3 steps and 8 dims.
  expect(lines).toContain(
    "warning: step 2: total is NaN; first not finite: input actions [2, 3, 8]: NaN at [1, 2, 4], 4 of 48 elements " +
      "are not finite (sample 1: episode 7 frame 31): nothing was changed",
  );
  expect(last!.step).toBe(3);
  expect(Number.isFinite(last!.total)).toBe(true);
  const [one, two] = ["1", "2"].map((step) =>
    readFileSync(join(dir, "checkpoints", step, "params", "params.safetensors")),
  );
  expect(two).toEqual(one);
});

test("a step that overflows names the operation and the parameter; a row of them is explained once", async () => {
  const config = toyConfig({ numTrainSteps: 3 });
  const { lines } = await run("overflow", config, {
    wrap: (parts) => ({
      ...parts,
      openBatches: async (state, step) => {
        const state0 = await parts.session.state();
        state0.params.get("action_in_proj/kernel")!.data.fill(3e38);
        await parts.session.restore(state0);
        return parts.openBatches(state, step);
      },
    }),
  });
  const warnings = lines.filter((line) => line.startsWith("warning"));
  expect(warnings[0]).toMatch(
    /^warning: step 1: .*; first not finite: forward embed_suffix\/\w+ .* of action_in_proj\/kernel: .*\(sample 0, sample 1\): nothing/,
  );
  expect(warnings.slice(1).map((line) => line.includes("first not finite"))).toEqual([false, false]);
});

test("a diagnosis that fails is told, and the run goes on", async () => {
  const { lines, last } = await runWithNaN("no-diagnosis", 1, {}, (parts) => ({
    ...parts,
    diagnose: makeDiagnosis({
      artifact: { manifest: {} as never },
      session: parts.session,
      execution: {},
    }),
  }));
  expect(lines.find((line) => line.startsWith("warning: step 2"))).toMatch(
    /the diagnosis failed: .*: nothing/,
  );
  expect(last!.step).toBe(3);
});

test("more of them in a row than allowed stop the run; the checkpoints stay", async () => {
  const bad = runWithNaN("diverged", 3, { maxSkippedSteps: 2 });
  await expect(bad).rejects.toThrow(
    /^step 4: total is NaN, and 3 steps in a row changed nothing \(maxSkippedSteps 2\). The run has diverged/,
  );
  expect(readdirSync(join(base, "diverged", "checkpoints")).sort()).toEqual(["1", "2", "3"]);
});

test("a checkpoint of the wrong shape is not silently accepted", async () => {
  const config = toyConfig({ numTrainSteps: 1 });
  const { dir } = await run("shape", config);
  const saved = await readCheckpoint(join(dir, "checkpoints", "1"));
  saved.state.params.delete("action_in_proj/bias");
  await saveCheckpoint(join(dir, "checkpoints"), { ...saved, files: new Map() });
  await expect(run("shape", toyConfig({ numTrainSteps: 2 }), { resume: true })).rejects.toThrow(
    /action_in_proj\/bias/,
  );
});
