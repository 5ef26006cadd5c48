/**
 * @file A Gemma stack and its adapters (openpi `models/gemma.py`, `models/lora.py`), and openpi's variants by name.
 */
import { InsulaError } from "./error.js";

/** A Gemma stack (VLM or action expert). Experts of one model agree in depth, heads and headDim. */
export interface GemmaConfig {
  width: number;
  depth: number;
  mlpDim: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  /** Low-rank adapters beside the weights (arXiv:2106.09685); absent or null: none. */
  lora?: GemmaLora | null;
}

/** Adapters of a stack, by openpi's groups; absent or null: none in that group. */
export interface GemmaLora {
  attn?: LoraConfig<AttentionEinsum> | null;
  ffn?: LoraConfig<FeedForwardEinsum> | null;
}

/** The einsums of the attention that take adapters; `qkv_einsum` where all heads have keys, else `q_` and `kv_einsum`. */
export type AttentionEinsum = "q_einsum" | "kv_einsum" | "qkv_einsum" | "attn_vec_einsum";
/** The einsums of the feed-forward network that take adapters. */
export type FeedForwardEinsum = "gating_einsum" | "linear";

/** One group of adapters: x·W becomes x·W + scale·(x·A)·B. */
export interface LoraConfig<Einsum extends string = AttentionEinsum | FeedForwardEinsum> {
  rank: number;
  /** Default: the rank, so that the scale is 1. */
  alpha?: number;
  /** Scale by alpha/√rank instead of alpha/rank (arXiv:2312.03732). Default false. */
  rslora?: boolean;
  /**
   * How B starts: at zero, so that the adapted model is the base model, or drawn from N(0, 0.01²) as openpi draws it,
   * so that it is not. A is drawn so in either case. Default zeros.
   */
  initB?: "zeros" | "normal";
  /** The einsums that get an adapter; default all of the group. */
  targets?: readonly Einsum[];
}

/** What the product x·A·B is multiplied by: alpha/rank, or alpha/√rank. */
export function loraScale({ rank, alpha = rank, rslora = false }: LoraConfig): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/** The einsums of a group that a stack of these heads has. */
export function loraEinsums(
  group: keyof GemmaLora,
  { numHeads, numKvHeads }: Pick<GemmaConfig, "numHeads" | "numKvHeads">,
): readonly (AttentionEinsum | FeedForwardEinsum)[] {
  if (group === "ffn") return ["gating_einsum", "linear"];
  return numHeads === numKvHeads
    ? ["qkv_einsum", "attn_vec_einsum"]
    : ["q_einsum", "kv_einsum", "attn_vec_einsum"];
}

/** The adapter of an einsum; undefined where there is none. */
export function adapterOf(
  { lora }: GemmaConfig,
  einsum: AttentionEinsum | FeedForwardEinsum,
): LoraConfig | undefined {
  const feedForward = einsum === "gating_einsum" || einsum === "linear";
  const config: LoraConfig | null | undefined = feedForward ? lora?.ffn : lora?.attn;
  return config && (config.targets ?? [einsum]).includes(einsum) ? config : undefined;
}

/** Whether any einsum of the stack has an adapter. */
export function hasLora(stack: GemmaConfig): boolean {
  return [...loraEinsums("attn", stack), ...loraEinsums("ffn", stack)].some((e) => adapterOf(stack, e));
}

/**
 * Check a stack's adapters.
 * @param name of the stack, for messages
 * @throws InsulaError `config/lora` naming the field.
 */
export function checkLora(name: string, stack: GemmaConfig): void {
  for (const group of ["attn", "ffn"] as const) {
    const config: LoraConfig | null | undefined = stack.lora?.[group];
    if (!config) continue;
    const fail = (field: string, expected: string, found: unknown) =>
      new InsulaError(
        "config/lora",
        `model config: ${name}.lora.${group}.${field}: expected ${expected}, found ${found}`,
      );
    const { rank, alpha = rank, initB = "zeros", targets } = config;
    if (!Number.isInteger(rank) || rank < 1) throw fail("rank", "an integer of at least 1", rank);
    if (!(Number.isFinite(alpha) && alpha > 0)) throw fail("alpha", "a number above 0", alpha);
    if (initB !== "zeros" && initB !== "normal") throw fail("initB", "zeros or normal", initB);
    const known = loraEinsums(group, stack);
    for (const target of targets ?? []) {
      if (!known.includes(target)) throw fail("targets", `some of ${known.join(", ")}`, target);
    }
  }
}

const heads = { numHeads: 8, numKvHeads: 1 };
const gemma300m = { width: 1024, depth: 18, mlpDim: 4096, ...heads, headDim: 256 };
const gemma2b = { width: 2048, depth: 18, mlpDim: 16_384, ...heads, headDim: 256 };
const everywhere = (rank: number): GemmaLora => ({
  attn: { rank, alpha: rank },
  ffn: { rank, alpha: rank },
});

/** openpi's variants of a Gemma stack. */
export type GemmaVariant = "dummy" | "gemma_300m" | "gemma_300m_lora" | "gemma_2b" | "gemma_2b_lora";

/** openpi's variants. Their adapters alone, `GEMMA_VARIANTS.gemma_2b_lora.lora`, suit a stack of any size. */
export const GEMMA_VARIANTS: Readonly<Record<GemmaVariant, GemmaConfig>> = {
  dummy: { width: 64, depth: 4, mlpDim: 128, ...heads, headDim: 16 },
  gemma_300m: gemma300m,
  gemma_300m_lora: { ...gemma300m, lora: everywhere(32) },
  gemma_2b: gemma2b,
  gemma_2b_lora: { ...gemma2b, lora: everywhere(16) },
};
