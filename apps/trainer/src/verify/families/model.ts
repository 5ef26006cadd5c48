/** @file Goldens of a model case: inner values, losses, sampled actions; for pi0_fast gradients and tokens. */
import { countParams, createFastSampler, createSampler, paramSpecs } from "@insula/ki-model";
import type { Observation } from "@insula/model-types";
import type { Tensor } from "@insula/ort-session";
import type { FileTensor, Writable } from "@insula/safetensors";
import { type ModelCase, readCase } from "../model/case.js";
import { artifactOf, globalNorm, runTaps, runTraining } from "../model/graphs.js";
import { blockStarts, columns, repeated, validOf, withSuffix } from "../model/rows.js";
import { ACTIVATION, EXACT, GRADIENT, GRADIENT_NORM, LOSS } from "../tolerance.js";
import type { Unit } from "../unit.js";
import type { Family } from "./family.js";

const OUT = "outputs.safetensors";
const CONFIG = "config.json";
const FILES = [CONFIG, OUT, "inputs.safetensors", "params.safetensors", "grads.safetensors"];

export const modelFamily: Family = {
  name: "model",
  claim(dir, files) {
    if (/(^|\/)ki\/[^/]*$/.test(dir) || !files.includes(CONFIG) || !files.includes("inputs.safetensors"))
      return [];
    return [files.filter((f) => FILES.includes(f))];
  },
  async verify(unit) {
    const model = await readCase(unit, false);
    const { vlm, expert } = countParams(paramSpecs(model.config));
    unit.putValue(CONFIG, ["n_params"], vlm + expert, EXACT);
    if (model.config.pi0Fast) await verifyFast(unit, model);
    else await verifyFlow(unit, model);
  },
};

async function verifyFlow(unit: Unit, model: ModelCase): Promise<void> {
  for (const key of [
    "loss_mean_bfloat16",
    "loss_per_step_bf16_max_abs_diff",
    "explicit_vs_compute_loss_max_abs",
  ]) {
    unit.used(CONFIG, key); // the reference compared with itself
  }
  const { losses } = await runTraining(artifactOf(model), model);
  unit.putValue(CONFIG, ["loss_mean"], losses.total, LOSS);

  const taps = await runTaps(model);
  const tap = (name: string) => taps.get(name)!;
  const prefixRows = columns(tap("prefix_mask"), 0, tap("prefix_mask").shape[1]!);
  const suffix = tap("suffix_embed").shape[1]!;
  const allRows = withSuffix(tap("prefix_mask"), suffix);
  const put = (name: string, value: Writable, rows?: Uint8Array) =>
    unit.put(OUT, name, value, ACTIVATION, rows ? { rows } : {});
  put("prefix_embed", plain(tap("prefix_embed")), prefixRows);
  put("prefix_out", plain(tap("prefix_out")), prefixRows);
  for (const name of ["suffix_embed", "suffix_out", "x_t", "u_t", "v_t"]) put(name, plain(tap(name)));
  if (taps.has("adarms_cond")) put("adarms_cond", plain(tap("adarms_cond")));
  for (const kv of ["kv_k", "kv_v"]) {
    const layers = stack(model.config.vlm.depth, (i) => tap(`${kv}/${i}`));
    put(kv, layers, repeated(allRows, model.config.vlm.depth));
  }
  unit.put(OUT, "loss_per_step", plain(tap("action_loss_per_step")), LOSS);
  unit.put(OUT, "loss_per_step_compute_loss", plain(tap("action_loss_per_step")), LOSS);
  putMasks(unit, tap("prefix_mask"), tap("attn_mask"), suffix);
  unit.put(OUT, "positions", plain(tap("positions")), EXACT);
  putSiglip(unit, model, taps);

  const sampler = await createSampler({ ...model, ...model.backend, imageKeys: model.config.imageKeys });
  try {
    for (const numSteps of stepCounts(unit.tensors(OUT))) {
      const actions = await sampler.sample(model.batch.observation, model.draws.noise, { numSteps });
      unit.put(OUT, `sample_actions_${numSteps}`, actions, ACTIVATION);
    }
  } finally {
    await sampler.release();
  }
}

/** The masks that openpi keeps, of which the attention mask is made. */
function putMasks(unit: Unit, prefixMask: Tensor, visible: Tensor, suffix: number): void {
  const [b, s] = prefixMask.shape as [number, number];
  unit.put(OUT, "prefix_mask", plain(prefixMask), EXACT);
  unit.put(OUT, "attn_mask", plain(visible), EXACT);
  const { starts, known } = blockStarts(visible);
  const part = (x: Uint8Array, from: number, count: number) => x.slice(from, from + count);
  const bool = (data: Uint8Array, shape: number[]): Writable => ({ data, shape, dtype: "BOOL" });
  unit.put(OUT, "prefix_ar_mask", bool(part(starts, 0, s), [s]), EXACT, { rows: part(known, 0, s) });
  unit.put(OUT, "suffix_ar_mask", bool(part(starts, s, suffix), [suffix]), EXACT, {
    rows: part(known, s, suffix),
  });
  unit.put(OUT, "suffix_mask", bool(columns(validOf(visible), s, suffix), [b, suffix]), EXACT);
}

/** The vision tower on example 0 of the first camera: row 0 of the batch of all cameras. */
function putSiglip(unit: Unit, { config, batchSize }: ModelCase, taps: ReadonlyMap<string, Tensor>): void {
  const row = Math.max(config.imageKeys.indexOf("base_0_rgb"), 0) * batchSize;
  for (const [name, value] of taps) {
    if (!name.startsWith("siglip/")) continue;
    const [n, ...rest] = value.shape as [number, ...number[]];
    const size = value.data.length / n;
    const data = (value.data as Float32Array).slice(row * size, (row + 1) * size);
    unit.put(OUT, name, { data, shape: [1, ...rest] }, ACTIVATION, { group: "outputs/siglip/*" });
  }
}

async function verifyFast(unit: Unit, model: ModelCase): Promise<void> {
  unit.used(CONFIG, "positions"); // a remark
  const { losses, gradients } = await runTraining(artifactOf(model), model);
  unit.putValue(CONFIG, ["loss_mean"], losses.total, LOSS);
  unit.putValue(CONFIG, ["global_grad_norm"], globalNorm(gradients), GRADIENT_NORM);
  for (const [path, value] of gradients) {
    unit.put("grads.safetensors", path, value, GRADIENT, { group: "grads/*" });
  }
  const taps = await runTaps(model);
  const tap = (name: string) => taps.get(name)!;
  const mask = tap("input_mask");
  const length = mask.shape[1]!;
  const text = length - model.config.maxTokenLen;
  const put = (name: string, rows: Uint8Array) => unit.put(OUT, name, plain(tap(name)), ACTIVATION, { rows });
  put("embed", columns(mask, 0, length));
  put("pre_logits", columns(mask, 0, length - 1));
  put("logits", columns(mask, text, model.config.maxTokenLen - 1));
  for (const name of ["input_mask", "ar_mask", "attn_mask"]) unit.put(OUT, name, plain(tap(name)), EXACT);
  const perExample = tap("fast_loss_per_example");
  unit.put(OUT, "loss_per_example", plain(perExample), LOSS);
  unit.putValue(CONFIG, ["loss_per_example"], Array.from(perExample.data, Number), LOSS);
  await putGreedyTokens(unit, model);
}

/** Greedy decoding from the prompt alone: the FAST tokens of the training sequence are masked out. */
async function putGreedyTokens(unit: Unit, model: ModelCase): Promise<void> {
  const [name, count] = greedyName(unit.tensors(OUT));
  const sampler = await createFastSampler({ ...model, ...model.backend, maxDecodingSteps: count });
  try {
    const tokens = await sampler.sample(promptOnly(model.batch.observation));
    const rows = Array.from({ length: model.batchSize }, (_, i) => [
      ...tokens.slice(i * count, (i + 1) * count),
    ]);
    unit.put(OUT, name, { data: Float32Array.from(tokens), shape: [model.batchSize, count] }, EXACT);
    unit.putValue(CONFIG, ["greedy_tokens"], rows, EXACT);
  } finally {
    await sampler.release();
  }
}

function promptOnly(observation: Observation): Observation {
  const ar = observation.tokenArMask!.data;
  const { data, shape } = observation.tokenizedPromptMask!;
  return { ...observation, tokenizedPromptMask: { data: data.map((m, i) => (ar[i] ? 0 : m)), shape } };
}

function greedyName(golden: ReadonlyMap<string, FileTensor>): [string, number] {
  const name = [...golden.keys()].find((n) => /^greedy_tokens_\d+$/.test(n)) ?? "greedy_tokens_12";
  return [name, Number(name.slice(name.lastIndexOf("_") + 1))];
}

/** Euler steps of the golden's sampled actions; openpi's 10 and two others when it has none. */
function stepCounts(golden: ReadonlyMap<string, FileTensor>): number[] {
  const named = [...golden.keys()].flatMap((n) => /^sample_actions_(\d+)$/.exec(n)?.[1] ?? []).map(Number);
  return named.length > 0 ? named.sort((a, b) => a - b) : [1, 5, 10];
}

/** Tensors along a new first axis. */
function stack(count: number, at: (i: number) => Tensor): Writable {
  const first = at(0);
  const data = new Float32Array(count * first.data.length);
  for (let i = 0; i < count; i++) data.set(at(i).data as Float32Array, i * first.data.length);
  return { data, shape: [count, ...first.shape] };
}

/** A session's tensor as one of a file. */
export function plain({ data, shape, type }: Tensor): Writable {
  return { data, shape, ...(type === "bool" ? { dtype: "BOOL" as const } : {}) };
}
