/**
 * @file The settings of an FSQ tokenizer: the fields of openpi's `FsqAttentionTokenizer` (`models/utils/fsq_tokenizer.py`),
 * named as in the `config` of its checkpoints.
 */
import { InsulaError } from "@insula/model-types";

/** Shape of the autoencoder. */
export interface FsqConfig {
  /** Width; attention has `floor(embed_dim / 64)` heads. */
  embed_dim: number;
  /** Numbers per step. */
  data_dim: number;
  /** Steps per chunk. */
  data_horizon: number;
  /** Ids per chunk. */
  num_tokens: number;
  /** Layers of the encoder and of the decoder, each. */
  num_layers: number;
  /** Ids there are: 2^8, 2^10, 2^12, 2^14 or 2^16. */
  target_codebook_size: number;
  /** Let tokens see no later steps, and steps no later tokens. Default false. */
  causal?: boolean;
  /** Width of the feed-forward network by that of the model. Default 2. */
  mlp_ratio?: number;
  /** Actions are clipped to ±bound before encoding; null (default): not. */
  bound?: number | null;
  /** Not supported: openpi's `FSQTokenizer` gives no state either. Default false. */
  use_state_conditioning?: boolean;
}

const COUNTS = ["embed_dim", "data_dim", "data_horizon", "num_tokens", "num_layers"] as const;
const FIELDS = new Set<string>([
  ...COUNTS,
  ...["target_codebook_size", "causal", "mlp_ratio", "bound", "use_state_conditioning"],
]);
/** No tokenizer of actions is near it; a larger number is a wrong file, and would ask for gigabytes. */
const MAX_COUNT = 1 << 14;
const CODEBOOKS = [8, 10, 12, 14, 16].map((bits) => 2 ** bits);

/** With every field filled. @throws InsulaError `fast/fsq-config` naming field, expectation and finding. */
export function parseFsqConfig(value: unknown): Required<FsqConfig> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuse("config", "an object", value);
  }
  const config = value as Record<string, unknown>;
  const unknown = Object.keys(config).find((key) => !FIELDS.has(key));
  if (unknown !== undefined) throw refuse(unknown, `one of ${[...FIELDS].join(", ")}`, config[unknown]);
  for (const field of COUNTS) {
    const found = config[field];
    if (!(Number.isInteger(found) && (found as number) >= 1 && (found as number) <= MAX_COUNT)) {
      throw refuse(field, `a whole number from 1 to ${MAX_COUNT}`, found);
    }
  }
  const { embed_dim, target_codebook_size: size } = config as unknown as FsqConfig;
  const heads = fsqHeads(embed_dim);
  if (heads < 1 || embed_dim % 2 !== 0 || embed_dim % heads !== 0) {
    throw refuse("embed_dim", "an even number that its floor(embed_dim / 64) heads divide", embed_dim);
  }
  if (!CODEBOOKS.includes(size)) throw refuse("target_codebook_size", `one of ${CODEBOOKS.join(", ")}`, size);
  const { causal = false, mlp_ratio = 2, bound = null, use_state_conditioning = false } = config;
  if (typeof causal !== "boolean") throw refuse("causal", "true or false", causal);
  if (!(typeof mlp_ratio === "number" && mlp_ratio > 0 && Math.floor(embed_dim * mlp_ratio) >= 1)) {
    throw refuse("mlp_ratio", "a number above 0", mlp_ratio);
  }
  if (bound !== null && !(typeof bound === "number" && bound > 0)) {
    throw refuse("bound", "null or a number above 0", bound);
  }
  if (use_state_conditioning !== false) {
    throw refuse(
      "use_state_conditioning",
      "false: nothing gives these tokenizers a state",
      use_state_conditioning,
    );
  }
  const counts = config as unknown as Record<(typeof COUNTS)[number], number>;
  const { data_dim, data_horizon, num_tokens, num_layers } = counts;
  return {
    ...{ embed_dim, data_dim, data_horizon, num_tokens, num_layers },
    ...{ target_codebook_size: size, causal, mlp_ratio, bound, use_state_conditioning },
  };
}

/** Heads of the attention. */
export const fsqHeads = (embedDim: number): number => Math.floor(embedDim / 64);

function refuse(field: string, expected: string, found: unknown): InsulaError {
  return new InsulaError(
    "fast/fsq-config",
    `fsq: ${field}: expected ${expected}, found ${JSON.stringify(found) ?? "none"}`,
  );
}
