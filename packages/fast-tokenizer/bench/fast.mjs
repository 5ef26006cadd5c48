/**
 * Speed of FAST: DCT, encode, decode, fit, and a whole prompt, in calls per second, one thread.
 *
 *     node bench/fast.mjs --tokenizer DIR --chunks FILE.safetensors [--seconds 2] [--fit 2048] [--peer CMD]
 *
 * DIR holds tokenizer.json and processor_config.json (any published FAST tokenizer); FILE holds float32 tensors
 * `corpus…` [n, horizon, dim]. Needs a build (`tsc -b`). `--peer` runs a command that prints one JSON object of the
 * same keys (a Python peer with scipy and HF tokenizers, say) and adds the ratios. About 15 s.
 */
import { execSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  dct,
  FASTTokenizer,
  fitFastTokenizer,
  idct,
  makeByteTokenizer,
  resolveVocabulary,
} from "../dist/index.js";
import { loadFastTokenizer } from "../dist/node.js";

const { values } = parseArgs({
  options: {
    tokenizer: { type: "string" },
    chunks: { type: "string" },
    seconds: { type: "string", default: "2" },
    fit: { type: "string" },
    peer: { type: "string" },
  },
});
if (!values.tokenizer || !values.chunks) {
  console.error(
    "usage: node bench/fast.mjs --tokenizer DIR --chunks FILE.safetensors [--seconds 2] [--fit 2048]",
  );
  process.exit(1);
}

/** Calls per second of `run` over `items`: the best of as many rounds as fit, as the peers measure. */
function rate(items, run, calls = items.length) {
  const round = () => {
    for (const item of items) run(item);
  };
  for (let i = 0; i < 20; i++) round();
  let best = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + 1000 * Number(values.seconds); performance.now() < end; ) {
    const start = performance.now();
    round();
    best = Math.min(best, performance.now() - start);
  }
  return (1000 * calls) / best;
}

/** The float32 tensors of a safetensors file. */
function* float32Tensors(path) {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(header)) {
    if (dtype !== "F32") continue;
    const [begin, end] = range;
    const copy = Uint8Array.from(bytes.subarray(8 + length + begin, 8 + length + end));
    yield [name, new Float32Array(copy.buffer), shape];
  }
}

const fast = await loadFastTokenizer(values.tokenizer);
const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", "Action: "] });
const { vocabSize } = resolveVocabulary({ textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize });
const prompts = new FASTTokenizer(512, { text, fast, vocabSize });
const result = { peer: "insula", tokenizer: values.tokenizer };
for (const [name, data, shape] of float32Tensors(values.chunks)) {
  if (shape.length !== 3 || !name.startsWith("corpus")) continue;
  const [n, horizon, dim] = shape;
  const size = horizon * dim;
  const all = Array.from({ length: n }, (_, i) => ({
    data: Float64Array.from(data.subarray(i * size, (i + 1) * size)),
    shape: [horizon, dim],
  }));
  const chunks = all.slice(0, 400);
  const batch = {
    data: Float64Array.from(data.subarray(0, chunks.length * size)),
    shape: [chunks.length, horizon, dim],
  };
  const ids = chunks.map((chunk) => fast.encode(chunk));
  const out = new Float64Array(size);
  const state = new Float32Array(dim);
  const row = {
    encode_per_chunk: rate(chunks, (chunk) => fast.encode(chunk)),
    encode_batched: rate([batch], (all) => fast.encodeBatch(all), chunks.length),
    decode: rate(ids, (list) => fast.decode(list, { horizon, dim })),
    dct: rate(chunks, (chunk) => dct(chunk, out)),
    idct: rate(chunks, (chunk) => idct(chunk, out)),
    prompt: rate(chunks, (chunk) => prompts.tokenize("pick up the cup", state, chunk)),
    mean_tokens: ids.reduce((sum, list) => sum + list.length, 0) / ids.length,
  };
  if (values.fit) {
    const start = performance.now();
    fitFastTokenizer(all, { vocabSize: Number(values.fit) });
    row.fit_s = (performance.now() - start) / 1000;
  }
  result[`${horizon}x${dim}`] = row;
}
if (values.peer) {
  const peer = JSON.parse(execSync(values.peer, { encoding: "utf8" }));
  result.ratios = {};
  for (const [shape, row] of Object.entries(result)) {
    if (typeof row !== "object" || !peer[shape]) continue;
    const ratio = ([key, value]) => [
      key,
      key === "fit_s" ? peer[shape][key] / value : value / peer[shape][key],
    ];
    const shared = Object.entries(row).filter(([key]) => peer[shape][key] && key !== "mean_tokens");
    result.ratios[shape] = Object.fromEntries(shared.map(ratio));
  }
}
console.log(JSON.stringify(result, null, 1));
