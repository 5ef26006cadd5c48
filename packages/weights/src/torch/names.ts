/**
 * @file openpi's JAX names and their PyTorch ones: which tensors of `PI0Pytorch` (openpi
 * `models_pytorch/pi0_pytorch.py`, converted by `examples/convert_jax_model_to_pytorch.py`) a parameter is made
 * of, and how. LeRobot's names are the same with `model.` before them.
 */

/**
 * How a part is laid out in PyTorch, for a JAX block of shape S:
 * `as-is` same order of elements; `transposed` (in, out) ↔ (out, in), taking S as a matrix with `rows` leading
 * axes joined; `heads` (N, D, H) ↔ (N·H, D); `conv` (kh, kw, in, out) ↔ (out, in, kh, kw).
 */
export type Layout = "as-is" | "transposed" | "heads" | "conv";

/** The tensors that a parameter is made of: stacked on its first axis where there are several. */
export interface TorchRule {
  /** `{i}` is the layer. */
  readonly names: readonly string[];
  readonly layout: Layout;
  /** `transposed`: how many leading axes of a block are the matrix's rows; 1 unless said. */
  readonly rowAxes?: number;
}

/** The tied head: openpi's files have only this one, LeRobot's have both. */
export const LM_HEAD = "paligemma_with_expert.paligemma.lm_head.weight";
export const EMBED_TOKENS = "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight";
/** Never trained, never read: left over from the Hugging Face class that the expert is. */
export const EXPERT_LM_HEAD = "paligemma_with_expert.gemma_expert.lm_head.weight";

const rules = new Map<string, TorchRule>();
const rule = (path: string, names: string | string[], layout: Layout, rowAxes?: number) =>
  rules.set(path, {
    names: typeof names === "string" ? [names] : names,
    layout,
    ...(rowAxes === undefined ? {} : { rowAxes }),
  });

/** A linear layer: kernel and bias. */
const linear = (path: string, name: string, rowAxes?: number) => {
  rule(`${path}/kernel`, `${name}.weight`, "transposed", rowAxes);
  rule(`${path}/bias`, `${name}.bias`, "as-is");
};
const layerNorm = (path: string, name: string) => {
  rule(`${path}/scale`, `${name}.weight`, "as-is");
  rule(`${path}/bias`, `${name}.bias`, "as-is");
};

const img = "PaliGemma/img";
const vision = "paligemma_with_expert.paligemma.model.vision_tower.vision_model";
rule(`${img}/embedding/kernel`, `${vision}.embeddings.patch_embedding.weight`, "conv");
rule(`${img}/embedding/bias`, `${vision}.embeddings.patch_embedding.bias`, "as-is");
rule(`${img}/pos_embedding`, `${vision}.embeddings.position_embedding.weight`, "as-is");
const block = `${img}/Transformer/encoderblock`;
layerNorm(`${block}/LayerNorm_0`, `${vision}.encoder.layers.{i}.layer_norm1`);
layerNorm(`${block}/LayerNorm_1`, `${vision}.encoder.layers.{i}.layer_norm2`);
for (const [jax, torch, rows] of [
  ["query", "q_proj", 1],
  ["key", "k_proj", 1],
  ["value", "v_proj", 1],
  ["out", "out_proj", 2],
] as const) {
  linear(
    `${block}/MultiHeadDotProductAttention_0/${jax}`,
    `${vision}.encoder.layers.{i}.self_attn.${torch}`,
    rows,
  );
}
linear(`${block}/MlpBlock_0/Dense_0`, `${vision}.encoder.layers.{i}.mlp.fc1`);
linear(`${block}/MlpBlock_0/Dense_1`, `${vision}.encoder.layers.{i}.mlp.fc2`);
layerNorm(`${img}/Transformer/encoder_norm`, `${vision}.post_layernorm`);
linear(`${img}/head`, "paligemma_with_expert.paligemma.model.multi_modal_projector.linear");

const llm = "PaliGemma/llm";
rule(`${llm}/embedder/input_embedding`, EMBED_TOKENS, "as-is");
for (const [suffix, model] of [
  ["", "paligemma_with_expert.paligemma.model.language_model"],
  ["_1", "paligemma_with_expert.gemma_expert.model"],
] as const) {
  const layer = `${model}.layers.{i}`;
  const attention = (...names: string[]) => names.map((name) => `${layer}.self_attn.${name}_proj.weight`);
  rule(`${llm}/layers/attn/q_einsum${suffix}/w`, attention("q"), "heads");
  rule(`${llm}/layers/attn/kv_einsum${suffix}/w`, attention("k", "v"), "heads");
  rule(`${llm}/layers/attn/qkv_einsum${suffix}/w`, attention("q", "k", "v"), "heads");
  rule(`${llm}/layers/attn/attn_vec_einsum${suffix}/w`, attention("o"), "transposed", 2);
  rule(
    `${llm}/layers/mlp${suffix}/gating_einsum`,
    [`${layer}.mlp.gate_proj.weight`, `${layer}.mlp.up_proj.weight`],
    "transposed",
  );
  rule(`${llm}/layers/mlp${suffix}/linear`, `${layer}.mlp.down_proj.weight`, "transposed");
  for (const [path, name] of [
    [`${llm}/layers/pre_attention_norm${suffix}`, `${layer}.input_layernorm`],
    [`${llm}/layers/pre_ffw_norm${suffix}`, `${layer}.post_attention_layernorm`],
    [`${llm}/final_norm${suffix}`, `${model}.norm`],
  ] as const) {
    rule(`${path}/scale`, `${name}.weight`, "as-is");
    linear(`${path}/Dense_0`, `${name}.dense`);
  }
}
for (const name of [
  "action_in_proj",
  "action_out_proj",
  "time_mlp_in",
  "time_mlp_out",
  "state_proj",
  "action_time_mlp_in",
  "action_time_mlp_out",
]) {
  linear(name, name);
}

/** Every parameter of every model type: openpi's path → its tensors in PyTorch. */
export const TORCH_RULES: ReadonlyMap<string, TorchRule> = rules;

/** A PyTorch name with its layer's number taken out, as the rules have it. */
export const torchPattern = (name: string): string => name.replace(/\.layers\.\d+\./, ".layers.{i}.");

const known = new Map([...rules].flatMap(([path, { names }]) => names.map((name) => [name, path] as const)));

/** The parameter that a PyTorch tensor belongs to, in whatever model type has it. */
export const pathOfTorch = (name: string): string | undefined => known.get(torchPattern(name));
