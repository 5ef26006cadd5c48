/**
 * @file Which weights have adapters, and openpi's names and shapes for these (`models/lora.py`): the last axis of the
 * weight becomes the rank in A, the one before it in B; the axes before them, heads and parts, stay.
 */
import {
  adapterOf,
  configModelType,
  type GemmaConfig,
  type LoraConfig,
  loraEinsums,
  loraScale,
  type ModelConfig,
  sizeOf,
} from "@insula/model-types";
import type { Draft, Init } from "./spec.js";

/** `""` for the VLM, `"_1"` for the action expert: openpi's suffix on parameter names. */
export type Stack = "" | "_1";

/** An einsum of a Gemma layer. */
export type Einsum = ReturnType<typeof loraEinsums>[number];

/** The adapter of one weight, by paths. */
export interface Adapter {
  weight: string;
  a: string;
  b: string;
  rank: number;
  scale: number;
  /**
   * Each head of the weight meets the sum of all heads' B. openpi writes the output projection's adapter as two
   * einsums that each sum over heads: ΔWₙ = Aₙ · Σₘ Bₘ.
   */
  sumsHeads: boolean;
}

/** The file name of an einsum's weight. */
export function einsumPath(einsum: Einsum, stack: Stack): string {
  return einsum === "gating_einsum" || einsum === "linear"
    ? `PaliGemma/llm/layers/mlp${stack}/${einsum}`
    : `PaliGemma/llm/layers/attn/${einsum}${stack}/w`;
}

/** The adapter of an einsum; undefined where there is none. */
export function findAdapter(config: GemmaConfig, einsum: Einsum, stack: Stack): Adapter | undefined {
  const lora = adapterOf(config, einsum);
  if (!lora) return undefined;
  return {
    ...loraPaths(einsum, stack),
    rank: lora.rank,
    scale: loraScale(lora),
    sumsHeads: einsum === "attn_vec_einsum",
  };
}

/** Every adapter of a model, by the path of its weight. */
export function findAdapters(config: ModelConfig): Map<string, Adapter> {
  const stacks: [Stack, GemmaConfig][] = [["", config.vlm]];
  if (configModelType(config) !== "pi0_fast") stacks.push(["_1", config.expert]);
  const found = stacks.flatMap(([stack, gemma]) =>
    [...loraEinsums("attn", gemma), ...loraEinsums("ffn", gemma)].map((einsum) =>
      findAdapter(gemma, einsum, stack),
    ),
  );
  return new Map(found.flatMap((adapter) => (adapter ? [[adapter.weight, adapter]] : [])));
}

/** Whether a path is of an adapter, by openpi's rule. */
export function isLora(path: string): boolean {
  return path.includes("lora");
}

/** The paths of an einsum's weight and of its adapter, whether it has one or not. */
export function loraPaths(einsum: Einsum, stack: Stack): Pick<Adapter, "weight" | "a" | "b"> {
  const weight = einsumPath(einsum, stack);
  return { weight, ...adapterPaths(weight) };
}

/** openpi's names: `…_einsum/lora_a` beside `…_einsum/w`, `linear_lora_a` beside `linear`. */
function adapterPaths(weight: string): { a: string; b: string } {
  const stem = weight.endsWith("/w") ? weight.slice(0, -1) : `${weight}_`;
  return { a: `${stem}lora_a`, b: `${stem}lora_b` };
}

/** A weight's parameters, adapter included: A laid out as the weight, B `[heads, rank, out]` or `[rank, out]`. */
export function withAdapter(weight: Draft, { rank, initB = "zeros" }: LoraConfig): Draft[] {
  const { path, fileShape, shape = [], perm, parts } = weight;
  const [lead, rows, columns] = [fileShape.slice(0, -2), fileShape.at(-2)!, fileShape.at(-1)!];
  const { a, b } = adapterPaths(path);
  const normal: Init = { kind: "normal", std: 0.01 };
  const common = parts === undefined ? {} : { parts };
  return [
    weight,
    {
      ...common,
      path: a,
      fileShape: [...lead, rows, rank],
      ...(perm ? { perm } : {}),
      ...(shape.length > 0 ? { shape: [shape[0]!, (shape[1]! / columns) * rank] } : {}),
      init: normal,
    },
    {
      ...common,
      path: b,
      fileShape: [...lead, rank, columns],
      ...(lead.length > 0 ? { shape: [sizeOf(lead), rank, columns] } : {}),
      init: initB === "zeros" ? { kind: "zeros" } : normal,
    },
  ];
}
