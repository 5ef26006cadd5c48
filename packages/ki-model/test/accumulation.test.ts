/**
 * @file A batch in micro-batches gives what it gives in one piece: losses, every gradient, the update, whatever the
 * padding of the samples.
 */
import { type ModelConfig, sizeOf } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type ArtifactOptions,
  buildArtifact,
  buildTrainingModel,
  createTrainSession,
  type FlowDraws,
  partOptions,
  type StepMetrics,
  type TrainBatch,
  type TrainSession,
} from "../src/index.js";
import { combineLosses, microBatches } from "../src/training/accumulate.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const TYPES: Record<string, Partial<ModelConfig>> = {
  pi05_ki: {},
  "pi05_ki, plain mean, weighted": { maskPadded: false, kiFastTokenLossWeight: 0.3 },
  pi05: { knowledgeInsulation: false, maskPadded: true },
  // ONNX Runtime takes sines eight at a time and the rest another way, 1e-6 apart at pi0's large angles: no rest here.
  pi0: {
    knowledgeInsulation: false,
    pi05: false,
    maskPadded: false,
    expert: { width: 16, depth: 2, mlpDim: 20, numHeads: 4, numKvHeads: 1, headDim: 8 },
  },
  pi0_fast: { knowledgeInsulation: false, pi05: false, pi0Fast: true, maskPadded: false },
};

/** Four samples, none padded as another: 1, 3, 6 and 4 real steps, 4 or 5 real dims. */
function unevenBatch(config: ModelConfig, flowDraws = 1): { batch: TrainBatch; draws: FlowDraws } {
  const { batch } = testBatch(config, 4);
  const { draws } = testBatch(config, 4 * flowDraws, 8);
  const { actionHorizon: h, actionDim: d } = config;
  const steps = [1, 3, 6, 4];
  const mask = batch.actionMask!.data;
  for (let i = 0; i < mask.length; i++) {
    const [sample, step, dim] = [Math.floor(i / (h * d)), Math.floor(i / d) % h, i % d] as const;
    mask[i] = step < steps[sample]! && dim < d - (sample % 2) ? 1 : 0;
  }
  return { batch, draws };
}

interface Step {
  metrics: StepMetrics;
  gradients: Map<string, Float32Array>;
}

/** One step of a fresh session: its metrics and gradients. */
async function stepOf(
  config: ModelConfig,
  options: Partial<ArtifactOptions>,
  { batch, draws }: { batch: TrainBatch; draws: FlowDraws },
  then: (session: TrainSession) => Promise<void> = async () => {},
): Promise<Step> {
  const artifact = buildArtifact(config, { batchSize: 4, ...options });
  const session = await createTrainSession({ artifact, params: testParams(config), threads: 1 });
  try {
    const metrics = await session.step(batch, draws, 1e-3);
    const gradients = new Map<string, Float32Array>();
    for (const [name, tensor] of session.gradients().byName)
      gradients.set(name, (await tensor.read()).data.slice() as Float32Array);
    await then(session);
    return { metrics, gradients };
  } finally {
    await session.release();
  }
}

const largest = (of: Iterable<number>) => [...of].reduce((m, x) => Math.max(m, Math.abs(x)), 0);

/** Differences up to here are noise: the gradient of SigLIP's key bias, for one, is 0 in theory. */
const NOISE = 1e-7;

/** Every metric within 1e-6 of its value. */
function expectLosses(found: object, whole: object, keys: readonly string[] = Object.keys(whole)): void {
  for (const key of keys) {
    const [a, b] = [found, whole].map((of) => (of as Record<string, number>)[key]!) as [number, number];
    expect(Math.abs(a - b) / Math.max(Math.abs(b), 1e-3), key).toBeLessThan(1e-6);
  }
}

function expectSame(parts: Step, whole: Step): void {
  expectLosses(parts.metrics, whole.metrics);
  expect([...parts.gradients.keys()]).toEqual([...whole.gradients.keys()]);
  const squared = (of: Float32Array) => of.reduce((sum, x) => sum + x * x, 0);
  let [off, all] = [0, 0];
  for (const [name, gradient] of whole.gradients) {
    const differences = gradient.map((g, i) => g - parts.gradients.get(name)![i]!);
    off += squared(differences);
    all += squared(gradient);
    // Products over fewer rows round differently, most for the small gradients of the deepest tensors.
    expect(largest(differences), name).toBeLessThan(1e-5 * largest(gradient) + NOISE);
  }
  expect(Math.sqrt(off / all)).toBeLessThan(1e-6);
}

test.each(Object.keys(TYPES))("%s: two and four parts give the step of the whole batch", async (type) => {
  const config = testConfig(TYPES[type]!);
  const input = unevenBatch(config);
  const whole = await stepOf(config, {}, input);
  for (const gradientAccumulation of [2, 4])
    expectSame(await stepOf(config, { gradientAccumulation }, input), whole);
});

test("with text buckets, fewer loss rows, several draws and rematerialisation, too", async () => {
  const config = testConfig();
  const options = { tokenBuckets: [18], lossRows: 12, flowDraws: 3, rematerialize: true };
  const input = unevenBatch(config, 3);
  const whole = await stepOf(config, options, input);
  expectSame(await stepOf(config, { ...options, gradientAccumulation: 4 }, input), whole);
});

test.each(["expert", "vlm"] as const)("where only the %s is trained, too", async (part) => {
  const config = testConfig({ kiFastTokenLossWeight: 0.3 });
  const input = unevenBatch(config);
  const options = { ...partOptions(config, part), frozenType: "float32" as const };
  const [whole, parts] = [
    await stepOf(config, options, input),
    await stepOf(config, { ...options, gradientAccumulation: 4 }, input),
  ];
  expect(whole.metrics).not.toHaveProperty(part === "vlm" ? "action_loss" : "fast_loss");
  expectSame(parts, whole);
});

test("float16: the loss scale is that of the step", async () => {
  const config = testConfig();
  const input = unevenBatch(config);
  const step = (gradientAccumulation: number) =>
    stepOf(config, { computeType: "float16", gradientAccumulation }, input);
  const [whole, parts] = [await step(1), await step(4)];
  expect(parts.metrics.loss_scale).toBe(whole.metrics.loss_scale);
  for (const key of ["total", "grad_norm", "grad_norm_vlm", "grad_norm_expert"] as const)
    expect(Math.abs(parts.metrics[key]! / whole.metrics[key]! - 1), key).toBeLessThan(0.01);
});

test("a part weighs what it has of the real entries; all parts together weigh 1, or nothing", () => {
  const config = testConfig();
  const options = { ...config, batchSize: 4, gradientAccumulation: 4 };
  const shares = microBatches(unevenBatch(config), options).map((part) => part.shares.action_loss);
  expect(shares).toEqual([5 / 63, 12 / 63, 30 / 63, 16 / 63]);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.float({ min: 0, max: 4, noNaN: true })), {
        minLength: 4 * 30,
        maxLength: 4 * 30,
      }),
      fc.constantFrom(1, 2, 4),
      (entries, gradientAccumulation) => {
        const input = unevenBatch(config);
        input.batch.actionMask!.data.set(entries.map(([real]) => Number(real)));
        const mean = (from: number, to: number) => {
          const real = entries.slice(from, to).filter(([r]) => r);
          return real.reduce((sum, [, error]) => sum + error, 0) / Math.max(real.length, 1);
        };
        const parts = microBatches(input, { ...options, gradientAccumulation });
        const size = entries.length / gradientAccumulation;
        const combined = combineLosses(
          config,
          parts.map((part, i) => {
            const action_loss = mean(i * size, (i + 1) * size);
            return { part, losses: { action_loss, total: action_loss } };
          }),
        );
        expect(combined.action_loss).toBeCloseTo(mean(0, entries.length), 12);
      },
    ),
  );
});

test("the accuracy is a share of all targets, not a mean of shares", () => {
  const part = (targets: number) => ({ targets, shares: { action_loss: 0.5, fast_loss: 0.5 } });
  const losses = (fast_accuracy: number) => ({ total: 0, fast_loss: 0, fast_accuracy });
  const combined = combineLosses(testConfig(), [
    { part: part(3), losses: losses(1 / 3) },
    { part: part(9), losses: losses(1) },
  ]);
  expect(combined.fast_accuracy).toBeCloseTo(10 / 12, 12);
  const none = { part: part(0), losses: losses(0) };
  expect(combineLosses(testConfig(), [none, none]).fast_accuracy).toBe(0);
});

test("evaluation gives the losses of the whole batch and moves nothing", async () => {
  const config = testConfig();
  const input = unevenBatch(config);
  const { metrics } = await stepOf(config, {}, input);
  await stepOf(config, { gradientAccumulation: 2 }, input, async (session) => {
    await session.restore({ ...(await session.state()), params: testParams(config) });
    const before = await session.state();
    const losses = await session.evaluate(input.batch, input.draws);
    expectLosses(losses, metrics, Object.keys(losses));
    expect(await session.state()).toEqual(before);
  });
});

test("a step starts from nothing, whatever the last one left", async () => {
  const config = testConfig();
  const good = unevenBatch(config);
  const bad = unevenBatch(config);
  bad.batch.actions.data[0] = Number.NaN; // the first of two parts
  const artifact = buildArtifact(config, { batchSize: 4, gradientAccumulation: 2 });
  const session = await createTrainSession({ artifact, params: testParams(config), threads: 1 });
  const before = await session.state();
  const skipped = await session.step(bad.batch, bad.draws, 1e-3);
  expect(skipped).toMatchObject({ skipped: 1, grad_norm: Number.NaN, action_loss: Number.NaN });
  expect({ ...(await session.state()), step: 0 }).toEqual(before);
  // Part-way through a step something fails: the text of the last sample is missing.
  const { tokenizedPrompt: _, ...observation } = good.batch.observation;
  await expect(session.step({ ...good.batch, observation }, good.draws, 1e-3)).rejects.toThrow(
    "tokenized_prompt",
  );
  await session.restore({ ...before, step: 0 });
  const step = await session.step(good.batch, good.draws, 1e-3);
  const fresh = await stepOf(config, { gradientAccumulation: 2 }, good);
  expect(step).toEqual(fresh.metrics);
  await session.release();
});

test("restoring a state continues bit-identically", async () => {
  const config = testConfig();
  const { batch, draws } = unevenBatch(config);
  const artifact = buildArtifact(config, { batchSize: 4, gradientAccumulation: 2 });
  const open = () => createTrainSession({ artifact, params: testParams(config), threads: 1 });
  const [straight, resumed] = [await open(), await open()];
  await straight.step(batch, draws, 1e-3);
  await resumed.restore(await straight.state());
  expect(await resumed.step(batch, draws, 1e-3)).toEqual(await straight.step(batch, draws, 1e-3));
  expect(await resumed.state()).toEqual(await straight.state());
  await straight.release();
  await resumed.release();
});

test("one part costs nothing: the graphs are the same to the byte", () => {
  const config = testConfig();
  const plain = buildArtifact(config, { batchSize: 4 });
  const one = buildArtifact(config, { batchSize: 4, gradientAccumulation: 1, flowDraws: 1 });
  expect(one.manifest.artifactHash).toBe(plain.manifest.artifactHash);
});

test("sums lie where gradients lie: no tensor more on the device", async () => {
  const config = testConfig();
  const input = unevenBatch(config);
  const memory: number[] = [];
  for (const gradientAccumulation of [1, 2])
    await stepOf(config, { gradientAccumulation }, input, async (s) => void memory.push(s.memory().tensors));
  expect(memory[1]).toBe(memory[0]);
  const { outputs, context } = buildTrainingModel(config, { batchSize: 4, gradientAccumulation: 2 });
  for (const { name, shape } of context.graph.inputs) {
    if (!name.startsWith("sum/")) continue;
    expect(sizeOf(outputs.get(`grad/${name.slice(4)}`)!.shape)).toBe(sizeOf(shape));
  }
});

test("parts that do not divide the batch, and batches of another size, are refused", async () => {
  const config = testConfig();
  expect(() => buildArtifact(config, { batchSize: 4, gradientAccumulation: 3 })).toThrow(
    "gradientAccumulation: expected a divisor of batchSize 4, found 3",
  );
  const six = testBatch(config, 6);
  await expect(stepOf(config, { gradientAccumulation: 2 }, six)).rejects.toThrow(
    "training: actions: expected [4, *, *], found [6, 6, 5]",
  );
});
