/** @file The average of the parameters is kept where they lie: a step copies none of it to the host or back. */
import { expect, test, vi } from "vitest";
import { buildArtifact, createTrainSession } from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

test.each([1, 2])(
  "EMA follows the parameters on the device, %i micro-batches",
  async (gradientAccumulation) => {
    const config = testConfig();
    const decay = 0.75;
    const artifact = buildArtifact(config, {
      batchSize: 2,
      gradientAccumulation,
      optimizer: { emaDecay: decay },
    });
    const session = await createTrainSession({ artifact, params: testParams(config), threads: 1 });
    try {
      const { batch, draws } = testBatch(config);
      const before = await session.state();
      const held = [session.params("raw"), session.params("ema"), session.gradients()].flatMap(
        ({ byName }) => [...byName.values()],
      );
      const copies = held.flatMap((tensor) => [vi.spyOn(tensor, "read"), vi.spyOn(tensor, "write")]);
      await session.step(batch, draws, 1e-2);
      for (const copy of copies) expect(copy).not.toHaveBeenCalled();
      vi.restoreAllMocks();
      const after = await session.state();
      let moved = 0;
      for (const [path, { data }] of after.ema!) {
        const [old, now] = [before.ema!.get(path)!.data, after.params.get(path)!.data];
        const expected = old.map((x, i) => decay * x + (1 - decay) * now[i]!);
        data.forEach((x, i) => void expect(Math.abs(x - expected[i]!)).toBeLessThanOrEqual(1e-6));
        if (data.some((x, i) => x !== old[i])) moved++;
      }
      expect(moved).toBeGreaterThan(0.9 * after.ema!.size);
    } finally {
      await session.release();
    }
  },
);
