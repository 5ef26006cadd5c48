/** @file The sizes of a model from the names and shapes of its weights. */
import {
  type GemmaConfig,
  InsulaError,
  type ModelConfig,
  type ModelOptions,
  ModelType,
  makeModelConfig,
  SIZE_PRESETS,
} from "@insula/model-types";
import { findLora } from "./lora.js";
import type { WeightSource } from "./source.js";
import { EMBED_TOKENS, LM_HEAD } from "./torch/names.js";

/** What shapes cannot tell, and what the weights do not have. */
export interface ImportSizes {
  /** Default: what the weights are. `pi05_ki` has the parameters of `pi05`. */
  modelType?: ModelType;
  /** Attention heads of the vision tower, where the source joins them (PyTorch) and its width is not a known one. */
  siglipHeads?: number;
  /**
   * Fields that weights do not have: horizon, prompt length, the expert where there is none, what scales adapters.
   * `vlm.lora` and `expert.lora` are what the model is to have; not given, what the weights have, scaled by 1.
   */
  model?: Omit<ModelOptions, "size">;
}

/** Heads of the towers that SigLIP was released with, by width: B, L, So400m. */
const SIGLIP_HEADS: Readonly<Record<number, number>> = { 768: 12, 1024: 16, 1152: 16 };

/** More layers than any model of the family could have: shapes are read from files that anyone can make. */
const MAX_DEPTH = 1024;

/** Looks up dimensions by tensor name. */
export interface Dims {
  get(name: string, axis: number, rank: number): number;
  last(name: string): number;
  has(name: string): boolean;
  depth(prefix: string, suffix: string): number;
}

/**
 * The configuration of the model whose weights these are.
 * @throws InsulaError `weights/missing-tensor` when a tensor that tells a size is not there, `weights/shape` when it
 *   has another rank, `weights/siglip-heads` when the heads have to be given, `weights/model-type`.
 */
export function inferModelConfig(source: WeightSource, options: ImportSizes = {}): ModelConfig {
  const dims = dimsOf(source);
  const torch = source.format === "openpi-pytorch" || source.format === "lerobot";
  const found = torch ? torchSizes(source, dims, options) : jaxSizes(dims);
  const held = heldType(dims, torch);
  const modelType = options.modelType ?? held ?? typeOfOptions(options.model);
  if (modelType === undefined) {
    throw new InsulaError(
      "weights/model-type",
      `${source.path}: has no action expert, so it fits every model type; say which (pi0, pi05, pi05_ki or pi0_fast)`,
    );
  }
  const { actionHorizon, maxTokenLen } = source.facts;
  const { vlm, actionDim } = found;
  const base = { ...SIZE_PRESETS.full.expert, ...options.model?.expert };
  for (const [name, { depth }] of Object.entries({
    siglip: found.siglip,
    vlm,
    expert: found.expert ?? vlm,
  })) {
    if (depth > MAX_DEPTH)
      throw new InsulaError(
        "weights/shape",
        `${source.path}: ${name}: ${depth} layers, at most ${MAX_DEPTH} expected`,
      );
  }
  const { lora: _, ...like } = vlm;
  const expert = found.expert ?? { ...like, width: base.width, mlpDim: base.mlpDim };
  return makeModelConfig({
    ...(actionHorizon === undefined ? {} : { actionHorizon }),
    ...(maxTokenLen === undefined ? {} : { maxTokenLen }),
    ...options.model,
    ...(actionDim === undefined ? {} : { actionDim }),
    pi05: modelType === ModelType.pi05 || modelType === ModelType.pi05_ki,
    knowledgeInsulation: modelType === ModelType.pi05_ki,
    pi0Fast: modelType === ModelType.pi0_fast,
    imageSize: found.imageSize,
    vocabSize: found.vocabSize,
    vlm: withLora(vlm, options.model?.vlm),
    expert: withLora(expert, options.model?.expert),
    siglip: found.siglip,
  });
}

/** The adapters that are wanted, or else those that were found. */
function withLora(found: GemmaConfig, wanted: Partial<GemmaConfig> = {}): GemmaConfig {
  return wanted.lora === undefined ? found : { ...found, lora: wanted.lora };
}

function typeOfOptions(model: Omit<ModelOptions, "size"> | undefined): ModelType | undefined {
  if (!model) return undefined;
  if (model.pi0Fast) return ModelType.pi0_fast;
  if (model.knowledgeInsulation) return ModelType.pi05_ki;
  return model.pi05 ? ModelType.pi05 : undefined;
}

function heldType(dims: Dims, torch: boolean): ModelType | undefined {
  const end = torch ? ".weight" : "/kernel";
  if (dims.has(`time_mlp_in${end}`)) return ModelType.pi05;
  return dims.has(`action_time_mlp_in${end}`) ? ModelType.pi0 : undefined;
}

type Sizes = Pick<ModelConfig, "imageSize" | "vocabSize" | "vlm" | "siglip"> &
  Partial<Pick<ModelConfig, "expert" | "actionDim">>;

function jaxSizes(dims: Dims): Sizes {
  const img = "PaliGemma/img";
  const block = `${img}/Transformer/encoderblock`;
  const kernel = `${img}/embedding/kernel`;
  const query = `${block}/MultiHeadDotProductAttention_0/query/kernel`;
  const patchSize = dims.get(kernel, 0, 4);
  const gemma = (suffix: "" | "_1"): GemmaConfig => {
    const at = "PaliGemma/llm/layers";
    const full = dims.has(`${at}/attn/qkv_einsum${suffix}/w`);
    const q = full ? `${at}/attn/qkv_einsum${suffix}/w` : `${at}/attn/q_einsum${suffix}/w`;
    const [rank, first] = full ? [5, 2] : [4, 1];
    const numHeads = dims.get(q, first, rank);
    const numKvHeads = full ? numHeads : dims.get(`${at}/attn/kv_einsum${suffix}/w`, 2, 5);
    const lora = findLora(dims, suffix, { numHeads, numKvHeads });
    return {
      width: dims.get(q, first + 1, rank),
      depth: dims.get(q, 0, rank),
      mlpDim: dims.get(`${at}/mlp${suffix}/gating_einsum`, 3, 4),
      numHeads,
      numKvHeads,
      headDim: dims.get(q, first + 2, rank),
      ...(lora ? { lora } : {}),
    };
  };
  const hasExpert = dims.has("action_in_proj/kernel");
  return {
    imageSize: side(dims.get(`${img}/pos_embedding`, 1, 3)) * patchSize,
    vocabSize: dims.get("PaliGemma/llm/embedder/input_embedding", 0, 2),
    siglip: {
      width: dims.get(kernel, 3, 4),
      depth: dims.get(query, 0, 4),
      mlpDim: dims.get(`${block}/MlpBlock_0/Dense_0/kernel`, 2, 3),
      numHeads: dims.get(query, 2, 4),
      patchSize,
    },
    vlm: gemma(""),
    ...(hasExpert ? { expert: gemma("_1"), actionDim: dims.get("action_in_proj/kernel", 0, 2) } : {}),
  };
}

function torchSizes({ path, facts }: WeightSource, dims: Dims, options: ImportSizes): Sizes {
  const vision = "paligemma_with_expert.paligemma.model.vision_tower.vision_model";
  const patch = `${vision}.embeddings.patch_embedding.weight`;
  const [width, patchSize] = [dims.get(patch, 0, 4), dims.get(patch, 2, 4)];
  const numHeads = options.siglipHeads ?? facts.siglipHeads ?? SIGLIP_HEADS[width];
  if (numHeads === undefined) {
    throw new InsulaError(
      "weights/siglip-heads",
      `${path}: PyTorch's shapes do not tell how many heads a vision tower of width ${width} has; give siglipHeads (--siglip-heads)`,
    );
  }
  const numKvHeads = facts.numKvHeads ?? 1;
  const gemma = (model: string): ModelConfig["vlm"] => {
    const layer = `${model}.layers.0`;
    const headDim = dims.get(`${layer}.self_attn.k_proj.weight`, 0, 2) / numKvHeads;
    return {
      width: dims.get(`${layer}.self_attn.q_proj.weight`, 1, 2),
      depth: dims.depth(`${model}.layers.`, ".self_attn.q_proj.weight"),
      mlpDim: dims.get(`${layer}.mlp.gate_proj.weight`, 0, 2),
      numHeads: dims.get(`${layer}.self_attn.q_proj.weight`, 0, 2) / headDim,
      numKvHeads,
      headDim,
    };
  };
  const hasExpert = dims.has("action_in_proj.weight");
  return {
    imageSize: side(dims.get(`${vision}.embeddings.position_embedding.weight`, 0, 2)) * patchSize,
    vocabSize: dims.get(dims.has(EMBED_TOKENS) ? EMBED_TOKENS : LM_HEAD, 0, 2),
    siglip: {
      width,
      depth: dims.depth(`${vision}.encoder.layers.`, ".self_attn.q_proj.weight"),
      mlpDim: dims.get(`${vision}.encoder.layers.0.mlp.fc1.weight`, 0, 2),
      numHeads,
      patchSize,
    },
    vlm: gemma("paligemma_with_expert.paligemma.model.language_model"),
    ...(hasExpert
      ? {
          expert: gemma("paligemma_with_expert.gemma_expert.model"),
          actionDim: dims.get("action_in_proj.weight", 1, 2),
        }
      : {}),
  };
}

/** Patches along one side. */
const side = (patches: number): number => Math.round(Math.sqrt(patches));

function dimsOf({ path, tensors }: WeightSource): Dims {
  return {
    has: (name) => tensors.has(name),
    last: (name) => tensors.get(name)?.shape.at(-1) ?? 0,
    get(name, axis, rank) {
      const shape = tensors.get(name)?.shape;
      if (!shape) throw new InsulaError("weights/missing-tensor", `${path}: no tensor '${name}'`);
      if (shape.length !== rank) {
        throw new InsulaError(
          "weights/shape",
          `${path}: ${name}: expected ${rank} axes, found [${shape.join(", ")}]`,
        );
      }
      return shape[axis]!;
    },
    depth(prefix, suffix) {
      // Counted, not taken from the largest number: a layer that is left out is then found missing.
      let depth = 0;
      for (const name of tensors.keys()) if (name.startsWith(prefix) && name.endsWith(suffix)) depth++;
      return depth;
    },
  };
}
