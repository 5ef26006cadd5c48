/**
 * @file The test model with adapters.
 */
import { type GemmaLora, type ModelConfig, makeModelConfig } from "@insula/model-types";
import { testConfig } from "./fixtures.js";

/** Adapters on everything, the feed-forward network's of another rank. */
export const both = (rank: number, more: object = {}): GemmaLora => ({
  attn: { rank, ...more },
  ffn: { rank: rank + 1, ...more },
});

/** The test model with `lora` on the VLM and `expertLora`, the same unless given, on the expert. */
export function loraConfig(
  { lora = both(3), ...changes }: Partial<ModelConfig> & { lora?: GemmaLora | null } = {},
  expertLora: GemmaLora | null = lora,
): ModelConfig {
  const { vlm, expert, ...config } = testConfig(changes);
  return makeModelConfig({ ...config, vlm: { ...vlm, lora }, expert: { ...expert, lora: expertLora } });
}
