/**
 * @file The model goldens as configurations and batches.
 */
import { type ModelConfig, makeModelConfig, type Observation } from "@insula/model-types";
import type { FileTensor } from "@insula/safetensors";
import { sharedJson, sharedTensors } from "@insula/test-kit";
import type { FlowDraws, ParamTree, TrainBatch } from "../src/index.js";

interface CaseJson {
  case: {
    kind: "pi0" | "pi05" | "pi0fast";
    vlm: {
      width: number;
      depth: number;
      mlp_dim: number;
      num_heads: number;
      num_kv_heads: number;
      head_dim: number;
    };
    expert?: CaseJson["case"]["vlm"];
    siglip: { width: number; depth: number; mlp_dim: number; num_heads: number; patch: number };
    image: number;
    vocab: number;
    action_dim: number;
    horizon: number;
    max_len: number;
    batch: number;
  };
}

export interface GoldenCase {
  config: ModelConfig;
  batchSize: number;
  params: ParamTree;
  inputs: Map<string, FileTensor>;
  outputs: Map<string, FileTensor>;
  batch: TrainBatch;
  draws: FlowDraws;
}

const gemma = (g: CaseJson["case"]["vlm"]) => ({
  width: g.width,
  depth: g.depth,
  mlpDim: g.mlp_dim,
  numHeads: g.num_heads,
  numKvHeads: g.num_kv_heads,
  headDim: g.head_dim,
});

/** `kind` is `model` or `ki`; the KI cases use the model cases' parameters. */
export function goldenCase(
  kind: "model" | "ki",
  name: string,
  changes: Partial<ModelConfig> = {},
): GoldenCase {
  const { case: c } = sharedJson<CaseJson>("golden", "public", kind, name, "config.json");
  const config = makeModelConfig({
    pi05: c.kind === "pi05",
    pi0Fast: c.kind === "pi0fast",
    knowledgeInsulation: kind === "ki",
    maskPadded: false,
    actionDim: c.action_dim,
    actionHorizon: c.horizon,
    maxTokenLen: c.max_len,
    imageSize: c.image,
    vocabSize: c.vocab,
    vlm: gemma(c.vlm),
    expert: gemma(c.expert ?? c.vlm),
    siglip: {
      width: c.siglip.width,
      depth: c.siglip.depth,
      mlpDim: c.siglip.mlp_dim,
      numHeads: c.siglip.num_heads,
      patchSize: c.siglip.patch,
    },
    ...changes,
  });
  const inputs = sharedTensors("golden", "public", kind, name, "inputs.safetensors");
  const get = (key: string) => inputs.get(key) as never;
  const pick = (prefix: string) =>
    Object.fromEntries(config.imageKeys.map((key) => [key, get(`${prefix}/${key}`)]));
  const observation = {
    images: pick("images"),
    imageMasks: pick("image_masks"),
    state: get("state"),
    tokenizedPrompt: get("tokens"),
    tokenizedPromptMask: get("token_mask"),
    tokenArMask: get("token_ar_mask"),
    tokenLossMask: get("token_loss_mask"),
  } as Observation;
  return {
    config,
    batchSize: c.batch,
    params: sharedTensors("golden", "public", "model", name, "params.safetensors") as unknown as ParamTree,
    inputs,
    outputs: sharedTensors("golden", "public", kind, name, "outputs.safetensors"),
    batch: { observation, actions: get("actions") },
    draws: { noise: get("noise"), time: get("time") },
  };
}
