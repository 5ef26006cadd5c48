#!/usr/bin/env node
/**
 * node scripts/check-artifact-python.mjs [--keep DIR]
 *
 * Runs an exported training artifact where nothing of ours is: `insula export-artifact` writes it, a batch and
 * parameters are drawn, and stock Python onnxruntime (from PyPI, in a fresh virtual environment) has to compute
 * the same losses as our session, to 1e-5, and gradients of the same norm. Half a minute.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root, run } from "./lib/workspace.mjs";

const LOSS_TOLERANCE = 1e-5;
const NORM_TOLERANCE = 1e-4;

const { values: args } = parseArgs({ options: { keep: { type: "string" } } });
const dir = args.keep ?? mkdtempSync(join(tmpdir(), "insula-artifact-"));
try {
  const folder = join(dir, "artifact");
  const insula = [process.execPath, join(root, "scripts/insula.mjs")];
  run([
    ...insula,
    "export-artifact",
    "pi05_droid_ki",
    "--size",
    "tiny",
    "--batch-size",
    "2",
    "--out",
    folder,
  ]);
  const expected = await writeExample(folder);
  const python = makeVenv(join(dir, "venv"));
  const found = JSON.parse(run([python, join(root, "scripts/lib/run_artifact.py"), folder]));
  console.log(`onnxruntime ${found.onnxruntime} in Python against @insula/ki-model`);
  const rows = Object.entries(expected).map(([name, value]) => {
    const relative = Math.abs(found[name] - value) / Math.abs(value);
    const ok = relative <= (name === "grad_norm" ? NORM_TOLERANCE : LOSS_TOLERANCE);
    console.log(
      `${ok ? "ok    " : "failed"} ${name}: expected ${value}, found ${found[name]} (${relative.toExponential(1)})`,
    );
    return ok;
  });
  const ok = rows.length === 4 && rows.every(Boolean);
  console.log(`${ok ? "ok" : "failed"}: ${found.gradients} gradients and the losses of one batch`);
  process.exitCode = ok ? 0 : 1;
} finally {
  if (!args.keep) rmSync(dir, { recursive: true });
}

/** Feeds of training_model.onnx as `example.safetensors`; returns what our own session makes of them. */
async function writeExample(folder) {
  const dist = (name) => import(join(root, `packages/${name}/dist/index.js`));
  const { createTrainSession, initParams, paramSpecs, pickFeeds, readArtifact, toGraphParams, trainFeeds } =
    await dist("ki-model");
  const { writeSafetensors } = await dist("safetensors");
  const artifact = await readArtifact(folder);
  const { config, models, params: listed } = artifact.manifest;
  const slots = models.training_model.inputs.map(({ name, dtype, shape }) => ({ name, type: dtype, shape }));

  const params = initParams(config, 0);
  const random = generator(1);
  // The initial action head is zero in places; a nudge lets every path carry a signal.
  for (const { data } of params.values())
    for (let i = 0; i < data.length; i++) data[i] += 0.02 * (random() - 0.5);
  const { batch, draws } = randomBatch(config, artifact.manifest.options, random);

  const names = new Set(listed.map((p) => p.name));
  const weights = toGraphParams(paramSpecs(config), params);
  const feeds = pickFeeds(slots, trainFeeds(batch, draws), (name) => names.has(name));
  for (const { name } of slots) if (names.has(name)) feeds[name] = weights.get(name);
  const tensors = Object.entries(feeds).map(([name, { data, shape, type }]) => [
    name,
    { data, shape, ...(type === "bool" ? { dtype: "BOOL" } : {}) },
  ]);
  await writeSafetensors(join(folder, "example.safetensors"), new Map(tensors));

  const session = await createTrainSession({ artifact, params });
  const losses = await session.evaluate(batch, draws);
  const { grad_norm } = await session.step(batch, draws, 0);
  await session.release();
  const { total, action_loss, fast_loss } = losses;
  return { total, action_loss, fast_loss, grad_norm };
}

/** A batch that suits any configuration: samples of different lengths, the last camera missing in the first. */
function randomBatch(config, { batchSize: b, imageKeys }, random) {
  const { actionHorizon: h, actionDim: d, imageSize: size, maxTokenLen: l, vocabSize } = config;
  const array = (Type, shape, value) => ({
    data: Type.from({ length: shape.reduce((n, x) => n * x, 1) }, (_, i) => value(i)),
    shape,
  });
  const prompt = (i) => Math.floor(l / 4) + Math.floor(i / l);
  const end = (i) => Math.floor(l / 2) + 2 * Math.floor(i / l);
  const valid = (i) => (i % l < end(i) ? 1 : 0);
  const fast = (i) => (valid(i) && i % l >= prompt(i) ? 1 : 0);
  const signed = () => 2 * random() - 1;
  return {
    batch: {
      observation: {
        images: Object.fromEntries(
          imageKeys.map((key) => [key, array(Uint8Array, [b, size, size, 3], () => 256 * random())]),
        ),
        imageMasks: Object.fromEntries(
          imageKeys.map((key, k) => [
            key,
            array(Uint8Array, [b], (i) => (i || k < imageKeys.length - 1 ? 1 : 0)),
          ]),
        ),
        state: array(Float32Array, [b, d], signed),
        tokenizedPrompt: array(
          Int32Array,
          [b, l],
          (i) => valid(i) * (1 + Math.floor((vocabSize - 1) * random())),
        ),
        tokenizedPromptMask: array(Uint8Array, [b, l], valid),
        tokenArMask: array(Int32Array, [b, l], fast),
        tokenLossMask: array(Uint8Array, [b, l], fast),
      },
      actions: array(Float32Array, [b, h, d], signed),
      actionMask: array(Float32Array, [b, h, d], (i) => (i % d < 8 ? 1 : 0)),
    },
    draws: {
      noise: array(Float32Array, [b, h, d], signed),
      time: array(Float32Array, [b], () => 0.1 + 0.8 * random()),
    },
  };
}

/** Numbers in [0, 1) from a 32-bit xorshift. */
function generator(seed) {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

/** A virtual environment with onnxruntime; returns its python. */
function makeVenv(venv) {
  run(["python3", "-m", "venv", venv]);
  const python = join(venv, "bin/python");
  run([python, "-m", "pip", "install", "--quiet", "onnxruntime", "numpy", "safetensors"]);
  return python;
}
