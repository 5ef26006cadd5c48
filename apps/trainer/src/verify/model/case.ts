/**
 * @file A golden model case (`config.json`, `inputs.safetensors`, `params.safetensors`) as a model
 * configuration, a batch and random draws.
 */
import { basename } from "node:path";
import type { FlowDraws, ParamTree, TrainBatch } from "@insula/ki-model";
import {
  FAST_IMAGE_KEYS,
  type GemmaConfig,
  IMAGE_KEYS,
  InsulaError,
  type ModelConfig,
  makeModelConfig,
  type NdArray,
  type Observation,
} from "@insula/model-types";
import { type FileTensor, readSafetensors } from "@insula/safetensors";
import type { Backend } from "../../backend.js";
import { missingInput, type Unit } from "../unit.js";

interface GemmaJson {
  width: number;
  depth: number;
  mlp_dim: number;
  num_heads: number;
  num_kv_heads: number;
  head_dim: number;
}

/** `case` of config.json. */
export interface CaseJson {
  kind: "pi0" | "pi05" | "pi0fast";
  vlm: GemmaJson;
  expert?: GemmaJson;
  siglip: { width: number; depth: number; mlp_dim: number; num_heads: number; patch: number };
  image: number;
  vocab: number;
  action_dim: number;
  horizon: number;
  max_len: number;
  batch: number;
  /** Camera names in token order; by default openpi's for the kind. */
  cameras?: readonly string[];
}

export interface ModelCase {
  config: ModelConfig;
  batchSize: number;
  params: ParamTree;
  batch: TrainBatch;
  draws: FlowDraws;
  /** Where the model is run. */
  backend: Backend;
}

/**
 * Read the case of a unit whose directory has config.json and inputs.safetensors.
 * @param insulated knowledge insulation on (the goldens of `ki/`)
 * @throws InsulaError `verify/missing-input` for files or tensors that are not there.
 */
export async function readCase(unit: Unit, insulated: boolean): Promise<ModelCase> {
  const json = unit.json("config.json");
  const c = json["case"] as CaseJson | undefined;
  if (!c) throw missingInput("'case' in config.json");
  const inputs = unit.tensors("inputs.safetensors");
  if (inputs.size === 0) throw missingInput("inputs.safetensors");
  unit.used("inputs.safetensors", ...inputs.keys());
  unit.used("config.json", "case", "versions", "params");
  const imageKeys = cameraNames(c, inputs);
  const get = <T extends NdArray>(name: string) => inputs.get(name) as unknown as T | undefined;
  const need = <T extends NdArray>(name: string) => {
    const found = get<T>(name);
    if (!found) throw missingInput(`tensor '${name}' of inputs.safetensors`);
    return found;
  };
  const byCamera = (prefix: string) =>
    Object.fromEntries(imageKeys.map((key) => [key, need<NdArray<Uint8Array>>(`${prefix}/${key}`)]));
  const observation: Observation = {
    images: byCamera("images"),
    imageMasks: byCamera("image_masks"),
    state: need("state"),
    tokenizedPrompt: need("tokens"),
    tokenizedPromptMask: need("token_mask"),
  };
  const [ar, loss] = [get<NdArray<Int32Array>>("token_ar_mask"), get<NdArray<Uint8Array>>("token_loss_mask")];
  if (ar) observation.tokenArMask = ar;
  if (loss) observation.tokenLossMask = loss;
  const flow = c.kind !== "pi0fast";
  const none: NdArray<Float32Array> = { data: new Float32Array(0), shape: [0] };
  return {
    config: modelConfig(c, insulated, imageKeys),
    batchSize: c.batch,
    params: await readParams(unit, json["params"]),
    batch: { observation, actions: flow ? need("actions") : none },
    draws: flow ? { noise: need("noise"), time: need("time") } : { noise: none, time: none },
    backend: unit.backend,
  };
}

function modelConfig(c: CaseJson, insulated: boolean, imageKeys: readonly string[]): ModelConfig {
  return makeModelConfig({
    pi05: c.kind === "pi05",
    pi0Fast: c.kind === "pi0fast",
    knowledgeInsulation: insulated,
    maskPadded: false, // openpi's loss is the plain mean
    actionDim: c.action_dim,
    actionHorizon: c.horizon,
    maxTokenLen: c.max_len,
    imageKeys,
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
  });
}

function gemma(g: GemmaJson): GemmaConfig {
  return {
    width: g.width,
    depth: g.depth,
    mlpDim: g.mlp_dim,
    numHeads: g.num_heads,
    numKvHeads: g.num_kv_heads,
    headDim: g.head_dim,
  };
}

/** Cameras in token order: as the case says, else openpi's own order, others behind it. */
function cameraNames(c: CaseJson, inputs: ReadonlyMap<string, FileTensor>): string[] {
  if (c.cameras) return [...c.cameras];
  const there = [...inputs.keys()]
    .filter((n) => n.startsWith("images/"))
    .map((n) => n.slice("images/".length));
  const usual: readonly string[] = c.kind === "pi0fast" ? FAST_IMAGE_KEYS : IMAGE_KEYS;
  return [...usual.filter((k) => there.includes(k)), ...there.filter((k) => !usual.includes(k)).sort()];
}

/** Parameters from beside config.json, or from where its `params` points. */
async function readParams(unit: Unit, reference: unknown): Promise<ParamTree> {
  const own = "params.safetensors";
  let tensors: ReadonlyMap<string, FileTensor>;
  if (unit.has(own)) {
    unit.used(own);
    tensors = unit.tensors(own);
  } else {
    const path = typeof reference === "string" ? reference : `../../model/${basename(unit.path())}/${own}`;
    try {
      tensors = await readSafetensors(unit.path(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") throw missingInput(path);
      throw error;
    }
  }
  const tree: ParamTree = new Map();
  for (const [name, { data, shape, dtype }] of tensors) {
    if (!(data instanceof Float32Array)) {
      throw new InsulaError("verify/params", `${unit.name}: params: '${name}': expected F32, found ${dtype}`);
    }
    tree.set(name, { data, shape });
  }
  return tree;
}
