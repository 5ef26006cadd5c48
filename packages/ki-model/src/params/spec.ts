/**
 * @file The parameter tree: openpi's names and shapes (`models/gemma.py`, `models/siglip.py`, `models/pi0.py`),
 * and for each parameter the layout that the graph uses.
 *
 * In files the layers of a stack are one tensor with the layer as axis 0, and `gating_einsum` has gate and up as
 * axis 1. In the graph every layer has its own parameter, as have gate and up, laid out so that its product is one plain GEMM with no Transpose: `q_einsum [n, d, h]` becomes
 * `[d, n·h]`. That is a permutation of the same numbers, so AdamW, EMA and norms do not see the difference.
 */
import {
  adapterOf,
  configModelType,
  type GemmaConfig,
  type ModelConfig,
  type SiglipConfig,
  sizeOf,
} from "@insula/model-types";
import { type Einsum, einsumPath, type Stack, withAdapter } from "./lora.js";

/** `vlm`: SigLIP, Gemma and the embedding. `expert`: the action expert and the projections around it. */
export type ParamGroup = "vlm" | "expert";

/** How a parameter starts (openpi's initialisers; fan-in counted on the file shape). */
export type Init =
  | { kind: "zeros" }
  | { kind: "ones" }
  | { kind: "normal"; std: number }
  | { kind: "lecun-normal"; fanIn: number }
  | { kind: "xavier-uniform"; fanIn: number; fanOut: number };

/** One parameter of the graph. */
export interface ParamSpec {
  /** Name in files: openpi's path. */
  readonly path: string;
  /** Name in graphs: the path, with the index behind it for a stacked one. */
  readonly name: string;
  /** Index on the stacked axes, taken as one, and the lengths of these. */
  readonly layer?: number;
  readonly stack?: readonly number[];
  /** Shape in files, without the stacked axes. */
  readonly fileShape: readonly number[];
  /** Graph axis order in terms of file axes. */
  readonly perm: readonly number[];
  /** Shape in graphs. */
  readonly shape: readonly number[];
  readonly group: ParamGroup;
  readonly init: Init;
}

/** A parameter of one layer, before it is stacked. */
export interface Draft {
  path: string;
  /** Length of a second stacked axis. */
  parts?: number;
  fileShape: number[];
  perm?: number[];
  shape?: number[];
  init: Init;
}

/** Every parameter of a model, in the order of the forward pass. */
export function paramSpecs(config: ModelConfig): ParamSpec[] {
  const type = configModelType(config);
  const specs: ParamSpec[] = [];
  const push = (drafts: Draft[], layers?: number) => {
    for (let layer = 0; layer < (layers ?? 1); layer++) {
      for (const { path, parts, fileShape, perm, shape, init } of drafts) {
        const order = perm ?? fileShape.map((_, i) => i);
        const stack = layers === undefined ? undefined : parts === undefined ? [layers] : [layers, parts];
        for (let part = 0; part < (parts ?? 1); part++) {
          const index = layer * (parts ?? 1) + part;
          specs.push({
            path,
            name: stack ? `${path}/${index}` : path,
            ...(stack ? { layer: index, stack } : {}),
            fileShape,
            perm: order,
            shape: shape ?? order.map((i) => fileShape[i]!),
            group: isExpert(path) ? "expert" : "vlm",
            init,
          });
        }
      }
    }
  };
  const patches = (config.imageSize / config.siglip.patchSize) ** 2;
  push(siglipStem(config.siglip, patches));
  push(siglipBlock(config.siglip), config.siglip.depth);
  push(siglipTail(config.siglip, config.vlm.width));
  push([
    {
      path: "PaliGemma/llm/embedder/input_embedding",
      fileShape: [config.vocabSize, config.vlm.width],
      init: { kind: "normal", std: 0.01 },
    },
  ]);
  push(gemmaBlock(config.vlm, "", false), config.vlm.depth);
  push(norm("PaliGemma/llm/final_norm", config.vlm.width, false));
  if (type === "pi0_fast") return specs;
  const adaptive = type !== "pi0";
  push(projections(config, adaptive));
  push(gemmaBlock(config.expert, "_1", adaptive), config.expert.depth);
  push(norm("PaliGemma/llm/final_norm_1", config.expert.width, adaptive));
  return specs;
}

/** The action expert's parameters: `…_1` inside the language model, and everything outside PaliGemma. */
export function isExpert(path: string): boolean {
  return !path.startsWith("PaliGemma/") || /^PaliGemma\/llm\/.*_1(\/|$)/.test(path);
}

const zeros: Init = { kind: "zeros" };
const lecun = (fanIn: number): Init => ({ kind: "lecun-normal", fanIn });
const xavier = (fanIn: number, fanOut: number): Init => ({ kind: "xavier-uniform", fanIn, fanOut });

function siglipStem({ width, patchSize }: SiglipConfig, patches: number): Draft[] {
  const fanIn = patchSize * patchSize * 3;
  return [
    {
      path: "PaliGemma/img/embedding/kernel",
      fileShape: [patchSize, patchSize, 3, width],
      shape: [fanIn, width],
      init: lecun(fanIn),
    },
    { path: "PaliGemma/img/embedding/bias", fileShape: [width], init: zeros },
    {
      path: "PaliGemma/img/pos_embedding",
      fileShape: [1, patches, width],
      init: { kind: "normal", std: 1 / Math.sqrt(width) },
    },
  ];
}

function siglipBlock({ width, mlpDim, numHeads }: SiglipConfig): Draft[] {
  const at = "PaliGemma/img/Transformer/encoderblock";
  const head = width / numHeads;
  const attention = `${at}/MultiHeadDotProductAttention_0`;
  const layerNorm = (name: string): Draft[] => [
    { path: `${at}/${name}/scale`, fileShape: [width], init: { kind: "ones" } },
    { path: `${at}/${name}/bias`, fileShape: [width], init: zeros },
  ];
  return [
    ...layerNorm("LayerNorm_0"),
    ...["query", "key", "value"].flatMap((name): Draft[] => [
      {
        path: `${attention}/${name}/kernel`,
        fileShape: [width, numHeads, head],
        shape: [width, width],
        init: xavier(width, width),
      },
      { path: `${attention}/${name}/bias`, fileShape: [numHeads, head], shape: [width], init: zeros },
    ]),
    {
      path: `${attention}/out/kernel`,
      fileShape: [numHeads, head, width],
      shape: [width, width],
      init: xavier(width, width),
    },
    { path: `${attention}/out/bias`, fileShape: [width], init: zeros },
    ...layerNorm("LayerNorm_1"),
    { path: `${at}/MlpBlock_0/Dense_0/kernel`, fileShape: [width, mlpDim], init: xavier(width, mlpDim) },
    { path: `${at}/MlpBlock_0/Dense_0/bias`, fileShape: [mlpDim], init: { kind: "normal", std: 1e-6 } },
    { path: `${at}/MlpBlock_0/Dense_1/kernel`, fileShape: [mlpDim, width], init: xavier(mlpDim, width) },
    { path: `${at}/MlpBlock_0/Dense_1/bias`, fileShape: [width], init: { kind: "normal", std: 1e-6 } },
  ];
}

function siglipTail({ width }: SiglipConfig, out: number): Draft[] {
  return [
    { path: "PaliGemma/img/Transformer/encoder_norm/scale", fileShape: [width], init: { kind: "ones" } },
    { path: "PaliGemma/img/Transformer/encoder_norm/bias", fileShape: [width], init: zeros },
    // openpi starts the head at zero and always loads a trained tower over it. From scratch a zero head would
    // cut the tower off from its gradients, so it starts like any other projection.
    { path: "PaliGemma/img/head/kernel", fileShape: [width, out], init: lecun(width) },
    { path: "PaliGemma/img/head/bias", fileShape: [out], init: zeros },
  ];
}

function gemmaBlock(gemma: GemmaConfig, stack: Stack, adaptive: boolean): Draft[] {
  const { width: d, mlpDim, numHeads: n, numKvHeads: k, headDim: h } = gemma;
  const at = "PaliGemma/llm/layers";
  const weight = (einsum: Einsum, draft: Omit<Draft, "path">): Draft[] => {
    const plain = { path: einsumPath(einsum, stack), ...draft };
    const lora = adapterOf(gemma, einsum);
    return lora ? withAdapter(plain, lora) : [plain];
  };
  /** `parts` products of d with `heads` heads: `[parts, heads, d, h]` in files. */
  const input = (einsum: Einsum, parts: number[], heads: number): Draft[] => {
    const lead = [...parts, heads];
    return weight(einsum, {
      fileShape: [...lead, d, h],
      perm: [lead.length, ...lead.keys(), lead.length + 1],
      shape: [d, sizeOf(lead) * h],
      init: lecun(d),
    });
  };
  return [
    ...norm(`${at}/pre_attention_norm${stack}`, d, adaptive),
    ...(n === k ? input("qkv_einsum", [3], n) : [...input("q_einsum", [], n), ...input("kv_einsum", [2], k)]),
    ...weight("attn_vec_einsum", { fileShape: [n, h, d], shape: [n * h, d], init: lecun(n * h) }),
    ...norm(`${at}/pre_ffw_norm${stack}`, d, adaptive),
    ...weight("gating_einsum", { parts: 2, fileShape: [d, mlpDim], init: lecun(d) }),
    ...weight("linear", { fileShape: [mlpDim, d], init: lecun(mlpDim) }),
  ];
}

/** RMS norm scale, or the adaptive norm's projection of the condition to scale, shift and gate (both start at zero). */
function norm(path: string, width: number, adaptive: boolean): Draft[] {
  if (!adaptive) return [{ path: `${path}/scale`, fileShape: [width], init: zeros }];
  return [
    { path: `${path}/Dense_0/kernel`, fileShape: [width, 3 * width], init: zeros },
    { path: `${path}/Dense_0/bias`, fileShape: [3 * width], init: zeros },
  ];
}

function projections({ actionDim, expert: { width } }: ModelConfig, adaptive: boolean): Draft[] {
  const linear = (path: string, from: number, to: number): Draft[] => [
    { path: `${path}/kernel`, fileShape: [from, to], init: lecun(from) },
    { path: `${path}/bias`, fileShape: [to], init: zeros },
  ];
  return [
    ...(adaptive
      ? [...linear("time_mlp_in", width, width), ...linear("time_mlp_out", width, width)]
      : [
          ...linear("state_proj", actionDim, width),
          ...linear("action_time_mlp_in", 2 * width, width),
          ...linear("action_time_mlp_out", width, width),
        ]),
    ...linear("action_in_proj", actionDim, width),
    ...linear("action_out_proj", width, actionDim),
  ];
}

/** The shape of a parameter in files, stacked axes included. */
export function stackedShape({ fileShape, stack = [] }: ParamSpec): number[] {
  return [...stack, ...fileShape];
}

/** Number of parameters per group. */
export function countParams(specs: readonly ParamSpec[]): Record<ParamGroup, number> {
  const counts = { vlm: 0, expert: 0 };
  for (const spec of specs) counts[spec.group] += sizeOf(spec.shape);
  return counts;
}
