/**
 * @file Rematerialisation changes no bit: losses and every gradient of both forms, in ONNX Runtime with every graph
 * optimisation on. One thread, so that sums have one order.
 */
import type { ModelConfig } from "@insula/model-types";
import { serialize } from "@insula/onnx-grad";
import { createSession, tensor } from "@insula/ort-session";
import { expect, test } from "vitest";
import {
  buildTrainingModel,
  pickFeeds,
  type Rematerialize,
  toGraphParams,
  trainFeeds,
} from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const TYPES: Record<string, Partial<ModelConfig>> = {
  pi05_ki: {},
  "pi05_ki in two passes": { kiForm: "two-pass" },
  pi05: { knowledgeInsulation: false, maskPadded: false },
  pi0: { knowledgeInsulation: false, pi05: false, maskPadded: false },
  pi0_fast: { knowledgeInsulation: false, pi05: false, pi0Fast: true, maskPadded: false },
};

test.each(Object.keys(TYPES))("%s", async (type) => {
  const config = testConfig(TYPES[type]!);
  const params = testParams(config);
  const { batch, draws } = testBatch(config);
  const run = async (rematerialize: Rematerialize) => {
    const { context, outputs } = buildTrainingModel(config, { batchSize: 2, rematerialize });
    const session = await createSession(serialize(context.graph, outputs).bytes, { threads: 1 });
    try {
      const weights = toGraphParams(context.specs, params);
      const feeds = pickFeeds(session.inputs, trainFeeds(batch, draws), (name) => weights.has(name));
      for (const { name } of session.inputs) {
        const weight = weights.get(name);
        if (weight) feeds[name] = tensor(weight.data, weight.shape);
      }
      return { out: await session.run(feeds), nodes: context.graph.nodes.length };
    } finally {
      await session.release();
    }
  };
  const kept = await run(false);
  let nodes = kept.nodes;
  for (const which of [{ vlm: 1 }, { siglip: 1, vlm: 1, expert: 2 }, true]) {
    const again = await run(which);
    expect(again.nodes).toBeGreaterThan(nodes);
    nodes = again.nodes;
    expect(Object.keys(again.out)).toEqual(Object.keys(kept.out));
    for (const [name, { data }] of Object.entries(kept.out)) {
      expect(again.out[name]!.data, name).toEqual(data);
    }
  }
});
