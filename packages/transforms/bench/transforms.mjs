/**
 * Speed of a whole sample: two 180×320 images → 224, normalise, tokenise, pad, against the Python peer. One
 * thread each; the two alternate, the best round of each counts.
 *
 *     node bench/transforms.mjs [--shared DIR] [--python PYTHON] [--rounds 3] [--seconds 1] [--json]
 *
 * The peer is `baselines/fast_reference.py` of the shared folder (PIL, numpy, scipy and Rust tokenizers, so PYTHON
 * needs those); without it only our figures are printed. Needs a build (`tsc -b`). About 10 s.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { compose, modelTransforms, normalize, resizeWithPad } from "../dist/index.js";

const { values: options } = parseArgs({
  options: {
    shared: {
      type: "string",
      default: process.env.INSULA_SHARED ?? resolve(import.meta.dirname, "../../../../shared"),
    },
    python: { type: "string", default: process.env.INSULA_PYTHON ?? "python3" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});
const goldens = join(options.shared, "golden", "common", "transforms");
const tokenizerDir = join(options.shared, "data", "fast_plus");
const peerScript = join(options.shared, "baselines", "fast_reference.py");
if (!existsSync(tokenizerDir)) {
  console.error(`no ${tokenizerDir}: give the shared folder with --shared DIR`);
  process.exit(1);
}

// The tokenizers are no dependency of the package, so its build does not build them.
const tokenizers = await Promise.all([
  import("@insula/fast-tokenizer"),
  import("@insula/fast-tokenizer/node"),
]).catch((error) => {
  console.error(`${error.message}\nbuild it first: pnpm build`);
  process.exit(1);
});
const [{ FASTTokenizer, resolveVocabulary }, { loadFastTokenizer, loadTextTokenizer }] = tokenizers;

const DIM = 8;
const HORIZON = 16;
let seed = 1;
const random = () => {
  seed = (seed * 48271) % 2147483647;
  return seed / 2147483647;
};
const image = () => ({
  data: Uint8Array.from({ length: 180 * 320 * 3 }, () => random() * 256),
  shape: [180, 320, 3],
});
const actions = new Float64Array(HORIZON * DIM);
for (let i = 0; i < actions.length; i++) actions[i] = (actions[i - DIM] ?? 0) + (random() - 0.5) * 0.17;
const black = { data: new Uint8Array(224 * 224 * 3), shape: [224, 224, 3] };
const sample = {
  image: { base_0_rgb: image(), left_wrist_0_rgb: image(), right_wrist_0_rgb: black },
  image_mask: { base_0_rgb: true, left_wrist_0_rgb: true, right_wrist_0_rgb: false },
  state: { data: Float64Array.from({ length: DIM }, () => random() * 2 - 1), shape: [DIM] },
  actions: { data: actions, shape: [HORIZON, DIM] },
  prompt: "pick up the cup",
};
const one = () => new Float64Array(DIM).fill(1);
const range = { mean: new Float64Array(DIM), std: one(), q01: one().map((v) => -v), q99: one() };

const text = await loadTextTokenizer(join(goldens, "standin_sentencepiece.model"));
const fast = await loadFastTokenizer(tokenizerDir);
const { vocabSize } = resolveVocabulary({ textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize });
const pipeline = compose([
  normalize({ state: range, actions: range }, { useQuantiles: true }),
  ...modelTransforms({
    modelType: "pi05_ki",
    actionDim: 32,
    actionHorizon: HORIZON,
    fastTokenizer: new FASTTokenizer(256, { text, fast, vocabSize }),
  }).inputs,
]);

/** Calls per second: the best of as many bursts of twenty as fit. */
function rate(run, seconds = Number(options.seconds)) {
  const burst = 20;
  let best = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const start = performance.now();
    for (let i = 0; i < burst; i++) run();
    best = Math.min(best, (performance.now() - start) / burst);
  }
  return 1000 / best;
}

/** The peer's whole samples per second; undefined, with the reason told once, where it cannot run. */
let told = false;
function peerRate() {
  // A file without chunks of actions, so that the peer measures the samples only.
  const chunks = join(goldens, "resize.safetensors");
  const args = [peerScript, "--tokenizer", tokenizerDir, "--chunks", chunks, "--seconds", options.seconds];
  const { status, stdout, stderr, error } = spawnSync(options.python, args, { encoding: "utf8" });
  if (status === 0) return JSON.parse(stdout).sample_transform;
  if (!told)
    console.error(`no peer: ${(error?.message ?? stderr).trim().split("\n").at(-1)} (--python PYTHON)`);
  told = true;
  return undefined;
}

rate(() => pipeline(sample), 0.5); // warm up
const best = { sample: 0, resize: 0, without_images: 0, peer_sample: 0 };
const keep = (key, value) => {
  best[key] = Math.max(best[key], value ?? 0);
};
const small = { ...sample, image: { base_0_rgb: black, left_wrist_0_rgb: black, right_wrist_0_rgb: black } };
for (let round = 0; round < Number(options.rounds); round++) {
  keep(
    "sample",
    rate(() => pipeline(sample)),
  );
  keep("peer_sample", peerRate());
}
keep(
  "resize",
  rate(() => resizeWithPad(sample.image.base_0_rgb, 224, 224)),
);
keep(
  "without_images",
  rate(() => pipeline(small)),
);
const ratio = best.peer_sample > 0 ? best.sample / best.peer_sample : undefined;
if (options.json) {
  console.log(JSON.stringify({ ...best, ratio, rounds: Number(options.rounds) }));
} else {
  const ms = (perSecond) => `${Math.round(perSecond)}/s  (${(1000 / perSecond).toFixed(3)} ms)`;
  console.log(`whole sample            ${ms(best.sample)}`);
  console.log(`  one image 180×320→224 ${ms(best.resize)}`);
  console.log(`  all but the images    ${ms(best.without_images)}`);
  if (ratio) console.log(`peer, whole sample      ${ms(best.peer_sample)}`);
  if (ratio) console.log(`ratio                   ${ratio.toFixed(2)}×`);
}
