import { expect, test } from "vitest";
import { buildTrainingModel, isExpert, type TrainingModelOptions } from "../src/index.js";
import { runModel, testBatch, testConfig, testParams } from "./fixtures.js";

const config = testConfig();
const params = testParams(config);
const data = testBatch(config);

async function run(
  options: Partial<TrainingModelOptions> = {},
  changes: Parameters<typeof testConfig>[0] = {},
  input = data,
) {
  const { context, outputs } = buildTrainingModel(testConfig(changes), { batchSize: 2, ...options });
  return runModel(context, outputs, params, input);
}

const reference = await run();
const grads = Object.keys(reference).filter((name) => name.startsWith("grad/"));

/** Same losses and gradients, to float noise. */
function expectEqual(out: typeof reference, rtol = 2e-6) {
  expect(Object.keys(out).sort()).toEqual(Object.keys(reference).sort());
  for (const name of ["total", "fast_loss", "action_loss", ...grads]) {
    expect(out[name]!.data as Float32Array, name).toBeAllclose(reference[name]!.data as Float32Array, {
      rtol,
      atol: 1e-7,
    });
  }
}

test("one pass equals two passes", async () => {
  expectEqual(await run({}, { kiForm: "two-pass" }));
});

test("leaving out a camera that is never there changes nothing", async () => {
  expectEqual(await run({ imageKeys: config.imageKeys.slice(0, 2) }));
});

test("computing only as many logit rows as there are targets changes nothing", async () => {
  expectEqual(await run({ lossRows: 8 }));
});

test("rematerialised layers give the same losses to the bit, and the same gradients", async () => {
  const out = await run({ rematerialize: true });
  for (const name of ["total", "fast_loss", "action_loss"])
    expect(out[name]!.data).toEqual(reference[name]!.data);
  expectEqual(out);
});

test("what stands in the padding changes nothing", async () => {
  const { observation } = data.batch;
  const tokens = observation.tokenizedPrompt!.data.map((id, i) =>
    observation.tokenizedPromptMask!.data[i] ? id : 33,
  );
  const changed = {
    ...observation,
    tokenizedPrompt: { data: tokens, shape: observation.tokenizedPrompt!.shape },
  };
  expectEqual(await run({}, {}, { ...data, batch: { ...data.batch, observation: changed } }));
});

test("masked action entries do not count", async () => {
  const { actions, actionMask } = data.batch;
  const noise = data.draws.noise.data;
  // The loss is the mean over real entries: check it against v_t and u_t.
  const { context, outputs } = buildTrainingModel(config, { batchSize: 2 });
  const wanted = new Map([
    ["loss", outputs.get("action_loss")!],
    ["v_t", context.taps.get("v_t")!],
  ]);
  const out = await runModel(context, wanted, params, data);
  const v = out["v_t"]!.data as Float32Array;
  let sum = 0;
  let count = 0;
  v.forEach((x, i) => {
    if (!actionMask!.data[i]) return;
    sum += (x - (noise[i]! - actions.data[i]!)) ** 2;
    count++;
  });
  expect(out["loss"]!.data[0] as number).toBeCloseTo(sum / count, 5);
});

test("λ scales the VLM's gradients and leaves the expert's alone", async () => {
  const half = await run({}, { kiFastTokenLossWeight: 0.5 });
  for (const name of grads) {
    const factor = isExpert(name.slice("grad/".length)) ? 1 : 0.5;
    const expected = (reference[name]!.data as Float32Array).map((g) => g * factor);
    expect(half[name]!.data as Float32Array, name).toBeAllclose(expected, { rtol: 2e-6, atol: 1e-7 });
  }
});
