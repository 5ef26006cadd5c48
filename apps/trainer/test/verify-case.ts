/** @file A golden folder without goldens: inputs of cases of any shape, for what verify computes of them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { initParams } from "@insula/ki-model";
import { makeModelConfig, sizeOf } from "@insula/model-types";
import { type Writable, writeSafetensors } from "@insula/safetensors";

/** Sizes that no fixture has: as many K/V heads as query heads, two cameras, one of them not openpi's. */
const CASE = {
  vlm: { width: 24, depth: 3, mlp_dim: 40, num_heads: 2, num_kv_heads: 2, head_dim: 8 },
  expert: { width: 16, depth: 3, mlp_dim: 24, num_heads: 2, num_kv_heads: 2, head_dim: 8 },
  siglip: { width: 12, depth: 1, mlp_dim: 20, num_heads: 3, patch: 7 },
  image: 14,
  vocab: 48,
  action_dim: 5,
  horizon: 3,
  max_len: 12,
  batch: 2,
};
const CAMERAS = ["base_0_rgb", "ceiling_rgb"];

/** Write `model/NAME`, and `ki/NAME` with FAST tokens, under `root`. */
export async function writeCase(root: string, kind: "pi0" | "pi05" | "pi0fast", name: string): Promise<void> {
  const random = lcg(7);
  const c = CASE;
  const gemma = (g: typeof c.vlm) => ({
    width: g.width,
    depth: g.depth,
    mlpDim: g.mlp_dim,
    numHeads: g.num_heads,
    numKvHeads: g.num_kv_heads,
    headDim: g.head_dim,
  });
  const config = makeModelConfig({
    pi05: kind === "pi05",
    pi0Fast: kind === "pi0fast",
    actionDim: c.action_dim,
    actionHorizon: c.horizon,
    maxTokenLen: c.max_len,
    imageSize: c.image,
    vocabSize: c.vocab,
    imageKeys: CAMERAS,
    vlm: gemma(c.vlm),
    expert: gemma(c.expert),
    siglip: { width: 12, depth: 1, mlpDim: 20, numHeads: 3, patchSize: 7 },
  });
  const params = [...initParams(config, 1)].map(([path, { data, shape }]) => {
    // No parameter is all zero, so that every path of the graph matters.
    return [path, { data: data.map((x) => x + 0.1 * (random() - 0.5)), shape }] as const;
  });
  const json = JSON.stringify({ case: { kind, ...c, cameras: CAMERAS } });
  await mkdir(join(root, "model", name), { recursive: true });
  await writeFile(join(root, "model", name, "config.json"), json);
  await writeSafetensors(join(root, "model", name, "params.safetensors"), params);
  await writeSafetensors(join(root, "model", name, "inputs.safetensors"), inputs(random, kind === "pi0fast"));
  if (kind !== "pi05") return;
  await mkdir(join(root, "ki", name), { recursive: true });
  await writeFile(join(root, "ki", name, "config.json"), json);
  await writeSafetensors(join(root, "ki", name, "inputs.safetensors"), inputs(random, true));
}

function inputs(random: () => number, withFast: boolean): [string, Writable][] {
  const { batch: b, image, max_len: l, horizon, action_dim: d, vocab } = CASE;
  const float = (...shape: number[]): Writable => ({
    data: Float32Array.from({ length: sizeOf(shape) }, () => 2 * random() - 1),
    shape,
  });
  const perToken = (value: (sample: number, at: number) => number) =>
    Array.from({ length: b * l }, (_, i) => value(Math.floor(i / l), i % l));
  const bool = (values: number[]): Writable => ({
    data: Uint8Array.from(values),
    shape: [b, l],
    dtype: "BOOL",
  });
  // Sample 0: 5 tokens of prompt, 4 of FAST; sample 1: 6 and 6, no padding.
  const [prompt, end] = [
    [5, 6],
    [9, 12],
  ];
  const out: [string, Writable][] = [
    ["state", float(b, d)],
    ["actions", float(b, horizon, d)],
    ["noise", float(b, horizon, d)],
    ["time", { data: Float32Array.of(0.3, 0.8), shape: [b] }],
    ["tokens", { data: Int32Array.from(perToken(() => Math.floor(random() * vocab))), shape: [b, l] }],
    ["token_mask", bool(perToken((s, i) => Number(i < end[s]!)))],
  ];
  for (const [i, camera] of CAMERAS.entries()) {
    const pixels = Uint8Array.from({ length: b * image * image * 3 }, () => Math.floor(256 * random()));
    out.push([`images/${camera}`, { data: pixels, shape: [b, image, image, 3] }]);
    out.push([`image_masks/${camera}`, { data: Uint8Array.of(1, 1 - i), shape: [b], dtype: "BOOL" }]);
  }
  if (!withFast) return out;
  const causal = perToken((s, i) => Number(i >= prompt[s]! && i < end[s]!));
  out.push(
    ["token_ar_mask", { data: Int32Array.from(causal), shape: [b, l] }],
    ["token_loss_mask", bool(causal)],
  );
  return out;
}

/** A small deterministic generator, uniform in [0, 1). */
function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
