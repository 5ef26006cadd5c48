/** @file The action loss counts real dims and steps: against the direct sum, and gradient by gradient. */
import { expect, test } from "vitest";
import { buildTrainingModel } from "../src/index.js";
import { runModel, testBatch, testConfig, testParams } from "./fixtures.js";

const BATCH = 2;

async function run(maskPadded: boolean, flowDraws: number) {
  const config = testConfig({ maskPadded });
  const { batch } = testBatch(config, BATCH);
  const { draws } = testBatch(config, BATCH * flowDraws, 3);
  const { actionHorizon: h, actionDim: d } = config;
  const mask = batch.actionMask!.data;
  // The last dim is padding everywhere, the steps from the third on in the first sample.
  for (let i = 0; i < mask.length; i++) mask[i] = i % d < d - 1 && (i >= h * d || i < 2 * d) ? 1 : 0;
  const { context, outputs } = buildTrainingModel(config, { batchSize: BATCH, flowDraws });
  for (const tap of ["v_t", "u_t"]) outputs.set(tap, context.taps.get(tap)!);
  return { out: await runModel(context, outputs, testParams(config), { batch, draws }), mask, h, d };
}

test.each([
  [true, 1],
  [true, 3],
  [false, 1],
  [false, 3],
])("maskPadded %s, %i draws", async (maskPadded, flowDraws) => {
  const { out, mask, h, d } = await run(maskPadded, flowDraws);
  const [v, u] = [out["v_t"]!.data, out["u_t"]!.data] as [Float32Array, Float32Array];
  let [sum, count] = [0, 0];
  for (let i = 0; i < v.length; i++) {
    const sample = Math.floor(i / (h * d * flowDraws));
    if (maskPadded && mask[sample * h * d + (i % (h * d))] === 0) continue;
    sum += (v[i]! - u[i]!) ** 2;
    count++;
  }
  expect(count).toBe(flowDraws * (maskPadded ? 4 * (2 + h) : BATCH * h * d));
  expect(Number(out["action_loss"]!.data[0]) / (sum / count)).toBeCloseTo(1, 6);
  // A padded dim trains nothing of its own.
  const bias = out["grad/action_out_proj/bias"]!.data as Float32Array;
  expect(bias[0]).not.toBe(0);
  expect(bias[d - 1] === 0).toBe(maskPadded);
});
