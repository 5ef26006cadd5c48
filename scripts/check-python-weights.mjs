#!/usr/bin/env node
/**
 * node scripts/check-python-weights.mjs [--openpi PYTHON] [--lerobot PYTHON]   (or: pnpm check:python-weights)
 *
 * Exported folders loaded by the Python code that they are for: a small model with random weights is exported, openpi's
 * `PI0Pytorch` and LeRobot's policies load it, strictly, and sample ten steps from the same noise; the actions must be
 * ours to 1e-4 of the largest. Each option names a Python in whose path the project is, with transformers 4.53.2 and openpi's
 * `transformers_replace` copied over it (LeRobot 0.4; later versions need no copy); half a minute each.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, root, run } from "./lib/workspace.mjs";

const { values: pythons } = parseArgs({
  options: { openpi: { type: "string" }, lerobot: { type: "string" } },
});
const formats = ["openpi", "lerobot"].filter((format) => pythons[format]);
if (formats.length === 0) {
  console.error("name a Python: --openpi PYTHON, --lerobot PYTHON");
  process.exit(2);
}
const dir = mkdtempSync(join(tmpdir(), "insula-python-weights-"));
let failed = 0;
try {
  build([join(root, "packages/weights"), join(root, "packages/ki-model")]);
  const load = (name) => import(join(root, "packages", name, "dist/index.js"));
  const { createSampler, initParams } = await load("ki-model");
  const { makeModelConfig } = await load("model-types");
  const { readSafetensors, writeSafetensors } = await load("safetensors");
  const { exportWeights } = await load("weights");
  for (const pi05 of [true, false]) {
    const heads = { depth: 3, numHeads: 8, numKvHeads: 1, headDim: 16 };
    const config = makeModelConfig({
      pi05,
      actionHorizon: 8,
      maxTokenLen: 24,
      imageSize: 56,
      vocabSize: 300,
      vlm: { width: 64, mlpDim: 128, ...heads },
      expert: { width: 48, mlpDim: 96, ...heads },
      siglip: { width: 36, depth: 2, mlpDim: 80, numHeads: 3, patchSize: 14 },
    });
    const random = generator(pi05 ? 1 : 2);
    const params = initParams(config, 1);
    // Nothing at zero, so that every parameter has a say.
    for (const { data } of params.values())
      for (let i = 0; i < data.length; i++) data[i] += 0.1 * (random() - 0.5);
    const file = join(dir, `params-${pi05}.safetensors`);
    await writeSafetensors(file, params);
    const { observation, noise } = batch(config, random);
    const inputs = join(dir, `inputs-${pi05}.safetensors`);
    await writeSafetensors(inputs, inputTensors(observation, noise));
    const sampler = await createSampler({ config, params, batchSize: 2 });
    const { data: ours } = await sampler.sample(observation, noise, { numSteps: 10 });
    await sampler.release();
    for (const format of formats) {
      const folder = join(dir, `${format}-${pi05}`);
      await exportWeights(file, config, format, folder);
      const job = { format, folder, model: config, inputs, out: join(dir, "actions.safetensors") };
      writeFileSync(join(dir, "job.json"), JSON.stringify(job));
      run([pythons[format], join(root, "scripts/lib/load_exported_policy.py"), join(dir, "job.json")]);
      const { data: theirs } = (await readSafetensors(job.out)).get("actions");
      const largest = ours.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      const distance = ours.reduce((max, x, i) => Math.max(max, Math.abs(x - theirs[i])), 0);
      const ok = theirs.length === ours.length && distance <= 1e-4 * largest;
      if (!ok) failed++;
      console.log(
        `${ok ? "ok    " : "FAILED"} ${format} loads ${pi05 ? "pi05" : "pi0"}: actions differ by ${distance.toExponential(1)} of ${largest.toFixed(2)}`,
      );
    }
  }
} finally {
  rmSync(dir, { recursive: true });
}
process.exitCode = failed ? 1 : 0;

/** Two samples; prompts of different lengths, the last camera missing in one. */
function batch({ imageKeys, imageSize, actionDim, actionHorizon, maxTokenLen, vocabSize }, random) {
  const floats = (...shape) => ({
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 4 * random() - 2),
    shape,
  });
  const valid = [17, maxTokenLen];
  const shape = [2, maxTokenLen];
  const isValid = (i) => i % maxTokenLen < valid[Math.floor(i / maxTokenLen)];
  const tokens = Int32Array.from({ length: 2 * maxTokenLen }, (_, i) =>
    isValid(i) ? 1 + Math.floor(random() * (vocabSize - 1)) : 0,
  );
  const image = () => ({
    data: Uint8Array.from({ length: 2 * imageSize ** 2 * 3 }, () => random() * 256),
    shape: [2, imageSize, imageSize, 3],
  });
  const observation = {
    images: Object.fromEntries(imageKeys.map((key) => [key, image()])),
    imageMasks: Object.fromEntries(
      imageKeys.map((key, i) => [key, { data: Uint8Array.of(i < 2 ? 1 : 0, 1), shape: [2] }]),
    ),
    state: floats(2, actionDim),
    tokenizedPrompt: { data: tokens, shape },
    tokenizedPromptMask: { data: Uint8Array.from(tokens, (_, i) => (isValid(i) ? 1 : 0)), shape },
    tokenArMask: { data: new Int32Array(tokens.length), shape },
    tokenLossMask: { data: new Uint8Array(tokens.length), shape },
  };
  return { observation, noise: floats(2, actionHorizon, actionDim) };
}

function inputTensors({ images, imageMasks, state, tokenizedPrompt, tokenizedPromptMask }, noise) {
  return [
    ...Object.entries(images).map(([key, value]) => [`image/${key}`, value]),
    ...Object.entries(imageMasks).map(([key, value]) => [`image_mask/${key}`, value]),
    ["state", state],
    ["tokens", tokenizedPrompt],
    ["token_mask", tokenizedPromptMask],
    ["noise", noise],
  ];
}

/** The same numbers on every run (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
