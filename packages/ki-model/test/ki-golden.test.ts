import { serialize } from "@insula/onnx-grad";
import { createSession, tensor } from "@insula/ort-session";
import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import { expect, test } from "vitest";
import { buildTrainingModel, pickFeeds, toFileParams, toGraphParams, trainFeeds } from "../src/index.js";
import { goldenCase } from "./golden-case.js";

describeShared("knowledge-insulated training against the reference", () => {
  for (const name of ["pi05", "pi05_asym"]) {
    for (const kiForm of ["one-pass", "two-pass"] as const) {
      test(`${name}, ${kiForm}: losses and every gradient`, async () => {
        const golden = goldenCase("ki", name, { kiForm });
        const { fast_loss, action_loss } = sharedJson<{ fast_loss: number; action_loss: number }>(
          "golden",
          "public",
          "ki",
          name,
          "config.json",
        );
        const model = buildTrainingModel(golden.config, { batchSize: golden.batchSize });
        const session = await createSession(serialize(model.context.graph, model.outputs).bytes);
        const weights = toGraphParams(model.context.specs, golden.params);
        const feeds = pickFeeds(session.inputs, trainFeeds(golden.batch, golden.draws), (n) =>
          weights.has(n),
        );
        for (const [n, { data, shape }] of weights) feeds[n] = tensor(data, shape);
        const out = await session.run(feeds);
        const relative = (a: number, e: number) => Math.abs(a - e) / Math.abs(e);
        expect(relative(out["fast_loss"]!.data[0] as number, fast_loss)).toBeLessThan(2e-5);
        expect(relative(out["action_loss"]!.data[0] as number, action_loss)).toBeLessThan(2e-5);
        const grads = new Map(model.trainable.map((s) => [s.name, out[`grad/${s.name}`]!]));
        const tree = toFileParams(model.context.specs, grads);
        const expected = new Map([
          ...sharedTensors("golden", "public", "ki", name, "grads_fast.safetensors"),
          ...sharedTensors("golden", "public", "ki", name, "grads_action.safetensors"),
        ]);
        expect([...tree.keys()].sort()).toEqual([...expected.keys()].sort());
        for (const [path, { data }] of expected) {
          expect(tree.get(path)!.data, path).toBeAllclose(data as Float32Array, { rtol: 1e-4, atol: 1e-6 });
        }
        await session.release();
      });
    }
  }
});
