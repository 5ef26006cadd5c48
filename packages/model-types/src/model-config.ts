/**
 * @file Model configuration: plain data, openpi's names in camelCase (`models/pi0_config.py`,
 * `models/gemma.py`, `models/siglip.py`). Sizes that openpi names by variant string are spelled out here.
 */
import { InsulaError } from "./error.js";
import { checkLora, GEMMA_VARIANTS, type GemmaConfig } from "./gemma-config.js";
import { type ModelType, modelTypeOf } from "./model-type.js";

/** A SigLIP vision tower. */
export interface SiglipConfig {
  width: number;
  depth: number;
  mlpDim: number;
  numHeads: number;
  patchSize: number;
}

/**
 * A complete model configuration: openpi's `Pi0Config` and `Pi0FASTConfig` in one record.
 * {@link makeModelConfig} fills in the defaults and checks it; which model type it is follows from three flags
 * ({@link configModelType}).
 */
export interface ModelConfig {
  /** Width of the padded state and action vectors. */
  actionDim: number;
  /** Actions per chunk. */
  actionHorizon: number;
  /** Length of the text buffer: prompt, FAST tokens and padding. */
  maxTokenLen: number;
  pi05: boolean;
  /** Train the VLM on FAST tokens only and the expert on stop-gradient features (arXiv:2505.23705). */
  knowledgeInsulation: boolean;
  /** The autoregressive pi0-FAST model: no action expert. */
  pi0Fast: boolean;
  /** λ of `total = action_loss + λ · fast_loss`. */
  kiFastTokenLossWeight: number;
  /** `one-pass` computes both losses in one forward; `two-pass` is the literature's form, kept as the oracle. */
  kiForm: "one-pass" | "two-pass";
  /** Count only real action dims and real (unpadded) steps in the action loss. */
  maskPadded: boolean;
  /** `fast`: FASTTokenizer's prompt (the default of pi05_ki); `pi05`: the prompt of released π0.5 checkpoints. */
  promptFormat: "fast" | "pi05";
  /** pi05: write the discretised state into the prompt. */
  discreteStateInput: boolean;
  /** Ids left free between the last vocabulary row and the first FAST id (openpi: 128, PaliGemma's `<seg>`). */
  fastSkipTokens: number;
  /** Camera names in token order. */
  imageKeys: readonly string[];
  /** Side of the square input images, in pixels. */
  imageSize: number;
  /** Rows of the embedding table. */
  vocabSize: number;
  vlm: GemmaConfig;
  expert: GemmaConfig;
  siglip: SiglipConfig;
}

/** The model type of `config`; throws as {@link modelTypeOf}. */
export function configModelType(
  config: Pick<ModelConfig, "pi05" | "knowledgeInsulation" | "pi0Fast">,
): ModelType {
  return modelTypeOf(config);
}

/** Image names of pi0 and pi05, in the order of their tokens (openpi `models/model.py`). */
export const IMAGE_KEYS = ["base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"] as const;
/** Image names of pi0_fast. */
export const FAST_IMAGE_KEYS = ["base_0_rgb", "base_1_rgb", "wrist_0_rgb"] as const;
/** Side of the model's input images, in pixels. */
export const IMAGE_SIZE = 224;
/** Rows of PaliGemma's embedding (openpi `models/gemma.py`). */
export const PALIGEMMA_VOCAB_SIZE = 257_152;

/** Sizes by name. Only `full` is openpi's; the others fit small machines. */
export const MODEL_SIZES = ["tiny", "small", "full"] as const;
/** The name of a size, one of {@link MODEL_SIZES}. */
export type ModelSize = (typeof MODEL_SIZES)[number];

/** The widths and depths that a size name stands for. */
export interface SizePreset {
  vlm: GemmaConfig;
  expert: GemmaConfig;
  siglip: SiglipConfig;
  /** Smallest number of embedding rows; the tokenizers may need more. */
  vocabSize: number;
}

const heads = (numHeads: number, headDim: number) => ({ numHeads, numKvHeads: 1, headDim });

/**
 * The sizes. `full` is openpi's: Gemma 2B, its 300M-parameter expert, SigLIP So400m/14. The small ones keep
 * its proportions where they matter: one key-value head, an expert as deep as the VLM, patches of 14 pixels.
 */
export const SIZE_PRESETS: Record<ModelSize, SizePreset> = {
  tiny: {
    vlm: { width: 64, depth: 2, mlpDim: 192, ...heads(4, 16) },
    expert: { width: 64, depth: 2, mlpDim: 192, ...heads(4, 16) },
    siglip: { width: 48, depth: 1, mlpDim: 96, numHeads: 3, patchSize: 14 },
    vocabSize: 1280,
  },
  small: {
    vlm: { width: 256, depth: 6, mlpDim: 1024, ...heads(8, 32) },
    expert: { width: 128, depth: 6, mlpDim: 512, ...heads(8, 32) },
    siglip: { width: 192, depth: 6, mlpDim: 768, numHeads: 6, patchSize: 14 },
    vocabSize: 4096,
  },
  full: {
    vlm: GEMMA_VARIANTS.gemma_2b,
    expert: GEMMA_VARIANTS.gemma_300m,
    siglip: { width: 1152, depth: 27, mlpDim: 4304, numHeads: 16, patchSize: 14 },
    vocabSize: PALIGEMMA_VOCAB_SIZE,
  },
};

/** What {@link makeModelConfig} takes: any fields, also of the stacks; a size fills the others. */
export interface ModelOptions extends Partial<Omit<ModelConfig, "vlm" | "expert" | "siglip">> {
  size?: ModelSize;
  vlm?: Partial<GemmaConfig>;
  expert?: Partial<GemmaConfig>;
  siglip?: Partial<SiglipConfig>;
}

/**
 * Fill the gaps of a partial model configuration with openpi's defaults (`Pi0Config`, `Pi0FASTConfig`) and
 * the sizes of `size`.
 * @throws InsulaError `config/ki-without-pi05` when the flags contradict each other, `config/integer`, `config/even`
 *   or `config/divisible` for a size that no model can have, `config/experts-disagree` when the experts differ in
 *   depth, heads or headDim, `config/lora` for adapters that cannot be. What only the action expert needs is not asked of pi0_fast.
 */
export function makeModelConfig(options: ModelOptions = {}): ModelConfig {
  const { size = "full", vlm, expert, siglip, ...given } = options;
  const preset = SIZE_PRESETS[size];
  const type = modelTypeOf(given);
  const fast = type === "pi0_fast";
  const pi05 = type === "pi05" || type === "pi05_ki";
  const config: ModelConfig = {
    actionDim: 32,
    actionHorizon: fast ? 32 : 50,
    maxTokenLen: fast ? 250 : type === "pi05_ki" ? 256 : pi05 ? 200 : 48,
    pi05,
    knowledgeInsulation: type === "pi05_ki",
    pi0Fast: fast,
    kiFastTokenLossWeight: 1.0,
    kiForm: "one-pass",
    maskPadded: type === "pi05_ki",
    promptFormat: "fast",
    discreteStateInput: pi05,
    fastSkipTokens: 128,
    imageKeys: fast ? FAST_IMAGE_KEYS : IMAGE_KEYS,
    imageSize: IMAGE_SIZE,
    vocabSize: preset.vocabSize,
    ...given,
    vlm: { ...preset.vlm, ...vlm },
    expert: { ...preset.expert, ...expert },
    siglip: { ...preset.siglip, ...siglip },
  };
  checkSizes(config, !fast);
  return config;
}

/** Sizes that the graphs rely on, checked where the name of the field is known. */
function checkSizes(config: ModelConfig, hasExpert: boolean): void {
  const { siglip, vlm, expert } = config;
  integers("", config, ["actionDim", "actionHorizon", "vocabSize", "imageSize"]);
  integers("", config, ["maxTokenLen"], 2); // a prompt and the token that it predicts
  integers("siglip.", siglip, ["width", "depth", "mlpDim", "numHeads", "patchSize"]);
  const gemma = ["width", "depth", "mlpDim", "numHeads", "numKvHeads", "headDim"] as const;
  integers("vlm.", vlm, gemma);
  divisible("imageSize", config.imageSize, "siglip.patchSize", siglip.patchSize);
  divisible("siglip.width", siglip.width, "siglip.numHeads", siglip.numHeads);
  divisible("vlm.numHeads", vlm.numHeads, "vlm.numKvHeads", vlm.numKvHeads);
  even("vlm.headDim", vlm.headDim, "the rotary embedding turns pairs");
  checkLora("vlm", vlm);
  if (!hasExpert) return;
  integers("expert.", expert, gemma);
  checkLora("expert", expert);
  for (const key of ["depth", "numHeads", "numKvHeads", "headDim"] as const) {
    if (vlm[key] !== expert[key]) {
      throw new InsulaError(
        "config/experts-disagree",
        `model config: vlm.${key} ${vlm[key]} and expert.${key} ${expert[key]} must be equal ` +
          "(the expert attends to the VLM's keys and values layer by layer)",
      );
    }
  }
  even("expert.width", expert.width, "the time embedding is half sines, half cosines");
}

/** The same model without adapters, as it is after they are merged into the weights. */
export function withoutLora(config: ModelConfig): ModelConfig {
  const plain = ({ lora: _, ...stack }: GemmaConfig): GemmaConfig => stack;
  return { ...config, vlm: plain(config.vlm), expert: plain(config.expert) };
}

function integers<K extends string>(
  prefix: string,
  sizes: Readonly<Record<K, number>>,
  keys: readonly K[],
  least = 1,
): void {
  for (const key of keys) {
    if (Number.isInteger(sizes[key]) && sizes[key] >= least) continue;
    throw new InsulaError(
      "config/integer",
      `model config: ${prefix}${key}: expected an integer of at least ${least}, found ${sizes[key]}`,
    );
  }
}

function divisible(name: string, value: number, divisorName: string, divisor: number): void {
  if (value % divisor === 0) return;
  throw new InsulaError(
    "config/divisible",
    `model config: ${name}: expected a multiple of ${divisorName} ${divisor}, found ${value}`,
  );
}

function even(name: string, value: number, why: string): void {
  if (value % 2 === 0) return;
  throw new InsulaError(
    "config/even",
    `model config: ${name}: expected an even number, found ${value} (${why})`,
  );
}
