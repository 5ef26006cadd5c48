/**
 * node scripts/lib/gpu-step.mjs --device cuda:0 --model small|wide [--layers 2] [--steps 10] [--batch 4]
 *
 * Times one training step (forward, backward, clip, AdamW) on the device, in float32, with TF32 products and in bfloat16,
 * and compares the memory that it took with the plan. `small` is the model and batch of the PyTorch baseline, all
 * padding computed; `wide` has every width of the full size and few layers. Prints one JSON object.
 */
import { parseArgs } from "node:util";
import { watchMemory } from "./gpu-memory.mjs";

const load = (path) => import(new URL(`../../${path}`, import.meta.url).href);
const { buildArtifact, createTrainSession, initParams, planMemory } = await load(
  "packages/ki-model/dist/index.js",
);
const { makeModelConfig, SIZE_PRESETS } = await load("packages/model-types/dist/index.js");

const { values: args } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    model: { type: "string", default: "small" },
    layers: { type: "string", default: "2" },
    steps: { type: "string", default: "10" },
    batch: { type: "string", default: "4" },
  },
});
const PROMPT = 36;
const FAST = 24;
const LIVE_CAMERAS = 2;
const WARM_UP = 3;
const batchSize = Number(args.batch);
const onGpu = args.device !== "cpu";
const common = { pi05: true, knowledgeInsulation: true, maskPadded: false };
const MODELS = {
  tiny: () => ({ ...common, size: "tiny", actionHorizon: 8, vocabSize: 512, imageSize: 56, maxTokenLen: 64 }),
  small: () => ({ ...common, size: "small", actionHorizon: 16, vocabSize: 4096 }),
  wide: () => {
    const { vlm, expert, siglip } = SIZE_PRESETS.full;
    const depth = Number(args.layers);
    const cut = { vlm: { ...vlm, depth }, expert: { ...expert, depth }, siglip: { ...siglip, depth } };
    return { ...common, size: "full", ...cut };
  },
};
if (!MODELS[args.model])
  throw new Error(`--model: expected ${Object.keys(MODELS).join(", ")}, found ${args.model}`);
const config = makeModelConfig(MODELS[args.model]());
const options = { batchSize, lossRows: FAST, optimizer: { emaDecay: null } };
const params = initParams(config, 0);
const draw = (shape) => ({
  data: Float32Array.from({ length: shape.reduce((a, d) => a * d, 1) }, () => 2 * Math.random() - 1),
  shape,
});
const { batch, draws } = makeBatch(config);

const variants = onGpu
  ? {
      float32: { cuda: { tf32: false } },
      tf32: { cuda: { tf32: true } },
      bfloat16: { cuda: { tf32: true }, computeType: "bfloat16" },
    }
  : { float32: {} };
const results = {};
for (const [name, variant] of Object.entries(variants)) results[name] = await measure(variant);

const { bytes, params: counts } = planMemory(config, options);
const model = { model: args.model, layers: config.vlm.depth, batchSize, params: counts.vlm + counts.expert };
console.log(JSON.stringify({ device: args.device, ...model, plan: bytes, results }));

async function measure({ cuda, computeType = "float32" }) {
  const artifact = buildArtifact(config, { ...options, computeType });
  const index = Number(/:(\d+)$/.exec(args.device)?.[1] ?? 0);
  const watch = onGpu ? watchMemory(index) : undefined;
  const where = { device: args.device, runtime: "capi", ...(cuda ? { cuda } : {}) };
  const began = performance.now();
  let session;
  try {
    session = await createTrainSession({ artifact, params, ...where });
    const losses = [];
    const ms = [];
    for (let i = 0; i < WARM_UP + Number(args.steps); i++) {
      const start = performance.now();
      // Resolves when the losses are on the host, so the device is done with the step.
      const { total } = await session.step(batch, draws, 1e-4);
      losses.push(total);
      if (i === 0) ms.startup = performance.now() - began;
      if (i >= WARM_UP) ms.push(performance.now() - start);
    }
    if (!losses.every(Number.isFinite)) throw new Error(`a loss is not finite: ${losses.join(" ")}`);
    const sorted = ms.toSorted((a, b) => a - b);
    const middle = sorted[Math.floor(sorted.length / 2)];
    const time = { ms_min: sorted[0], ms_median: middle, startup_ms: ms.startup, ms: [...ms] };
    return { ...time, first_loss: losses[0], last_loss: losses.at(-1), memory: watch?.stop() };
  } finally {
    watch?.stop();
    await session?.release();
  }
}

function makeBatch({ maxTokenLen: l, actionHorizon: h, actionDim: d, imageKeys, imageSize, vocabSize }) {
  const text = (fill) => Int32Array.from({ length: batchSize * l }, (_, i) => fill(i % l));
  const mask = (fill) => ({ data: Uint8Array.from(text(fill)), shape: [batchSize, l] });
  const real = (i) => (i < PROMPT + FAST ? 1 : 0);
  const fast = (i) => (i >= PROMPT && i < PROMPT + FAST ? 1 : 0);
  const image = () => ({
    data: Uint8Array.from({ length: batchSize * imageSize ** 2 * 3 }, () => 256 * Math.random()),
    shape: [batchSize, imageSize, imageSize, 3],
  });
  const exists = (i) => ({
    data: new Uint8Array(batchSize).fill(i < LIVE_CAMERAS ? 1 : 0),
    shape: [batchSize],
  });
  const token = (i) => real(i) && 1 + Math.floor((vocabSize - 1) * Math.random());
  return {
    batch: {
      observation: {
        images: Object.fromEntries(imageKeys.map((key) => [key, image()])),
        imageMasks: Object.fromEntries(imageKeys.map((key, i) => [key, exists(i)])),
        state: draw([batchSize, d]),
        tokenizedPrompt: { data: text(token), shape: [batchSize, l] },
        tokenizedPromptMask: mask(real),
        tokenArMask: { data: text(fast), shape: [batchSize, l] },
        tokenLossMask: mask(fast),
      },
      actions: draw([batchSize, h, d]),
    },
    draws: {
      noise: draw([batchSize, h, d]),
      time: { data: new Float32Array(batchSize).fill(0.5), shape: [batchSize] },
    },
  };
}
