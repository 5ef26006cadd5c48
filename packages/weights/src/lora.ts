/** @file Which adapters weights have, from names and shapes. */
import { loraPaths } from "@insula/ki-model";
import { type GemmaConfig, type GemmaLora, loraEinsums } from "@insula/model-types";
import type { Dims } from "./sizes.js";

/**
 * The adapters of a stack; undefined without any. Shapes do not tell what scales them: openpi's variants have
 * alpha = rank, a scale of 1.
 */
export function findLora(
  dims: Pick<Dims, "has" | "last">,
  stack: "" | "_1",
  heads: Pick<GemmaConfig, "numHeads" | "numKvHeads">,
): GemmaLora | undefined {
  const group = (name: keyof GemmaLora) => {
    const einsums = loraEinsums(name, heads);
    const targets = einsums.filter((einsum) => dims.has(loraPaths(einsum, stack).a));
    if (targets.length === 0) return undefined;
    const rank = dims.last(loraPaths(targets[0]!, stack).a);
    return { rank, alpha: rank, ...(targets.length < einsums.length ? { targets } : {}) };
  };
  const [attn, ffn] = [group("attn"), group("ffn")];
  if (!attn && !ffn) return undefined;
  return { ...(attn ? { attn } : {}), ...(ffn ? { ffn } : {}) } as GemmaLora;
}
