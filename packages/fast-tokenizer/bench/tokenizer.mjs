/**
 * Speed of FAST against scipy + HF tokenizers (Rust): encode, decode and fit, one thread each, in turns, ratios printed.
 *
 *     node bench/tokenizer.mjs [--tokenizer DIR] [--chunks FILE.safetensors] [--seconds 1] [--rounds 2]
 *                         [--fit 2048] [--fit-chunks 2000] [--python PYTHON] [--peer FILE.py | --alone] [--json]
 *
 * DIR holds tokenizer.json and processor_config.json (any published FAST tokenizer); FILE holds float32 tensors
 * `corpus…` [n, horizon, dim], extended to `--fit-chunks` by means of two where they are fewer. Both, and the peer, are by
 * default those of the shared data. PYTHON needs numpy, scipy, tokenizers, pillow and safetensors. Needs a build
 * (`tsc -b`; `pnpm bench tokenizer` makes one). About a minute with the peer.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
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
import { extend, readCorpora, writeCorpora } from "./lib/chunks.mjs";
import { bytesPerCall, rate } from "./lib/measure.mjs";

const shared =
  process.env.INSULA_SHARED ?? resolve(fileURLToPath(new URL("../../../../shared", import.meta.url)));
const { values } = parseArgs({
  options: {
    tokenizer: { type: "string", default: join(shared, "data/fast_plus") },
    chunks: { type: "string", default: join(shared, "golden/public/fast/corpus.safetensors") },
    seconds: { type: "string", default: "1" },
    rounds: { type: "string", default: "2" },
    fit: { type: "string", default: "2048" },
    "fit-chunks": { type: "string", default: "2000" },
    python: { type: "string", default: "python3" },
    peer: { type: "string", default: join(shared, "baselines/fast_reference.py") },
    alone: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
for (const path of [values.tokenizer, values.chunks, ...(values.alone ? [] : [values.peer])]) {
  if (existsSync(path)) continue;
  console.error(`${path}: no such file; see the head of bench/tokenizer.mjs for what can be given`);
  process.exit(1);
}

const seconds = Number(values.seconds);
const vocabSize = Number(values.fit);
const count = Number(values["fit-chunks"]);
const folder = mkdtempSync(join(tmpdir(), "insula-bench-"));
const corpora = new Map(
  [...readCorpora(values.chunks)].map(([name, corpus]) => [name, extend(corpus, count)]),
);
const chunkFile = join(folder, "chunks.safetensors");
writeCorpora(chunkFile, corpora);
const fast = await loadFastTokenizer(values.tokenizer);

/** Every rate of one shape; seconds for `fit_s`, bytes for `…_bytes`. */
function measure({ data, shape: [n, horizon, dim] }) {
  const size = horizon * dim;
  const all = Array.from({ length: n }, (_, i) => ({
    data: Float64Array.from(data.subarray(i * size, (i + 1) * size)),
    shape: [horizon, dim],
  }));
  // Before anything else of this shape: a fit is called once, so it is not measured warm.
  const start = performance.now();
  fitFastTokenizer(all, { vocabSize });
  const fit_s = (performance.now() - start) / 1000;

  const chunks = all.slice(0, 400);
  const batch = {
    data: Float64Array.from(data.subarray(0, chunks.length * size)),
    shape: [chunks.length, horizon, dim],
  };
  const ids = chunks.map((chunk) => fast.encode(chunk));
  const out = new Float64Array(size);
  const state = new Float32Array(dim);
  const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", "Action: "] });
  const rows = resolveVocabulary({ textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize });
  const prompts = new FASTTokenizer(512, { text, fast, vocabSize: rows.vocabSize });
  const encode = (chunk) => fast.encode(chunk);
  const decode = (list) => fast.decode(list, { horizon, dim });
  return {
    encode_per_chunk: rate(chunks, encode, seconds),
    encode_batched: rate([batch], (whole) => fast.encodeBatch(whole), seconds, chunks.length),
    decode: rate(ids, decode, seconds),
    fit_s,
    dct: rate(chunks, (chunk) => dct(chunk, out), seconds),
    idct: rate(chunks, (chunk) => idct(chunk, out), seconds),
    prompt: rate(chunks, (chunk) => prompts.tokenize("pick up the cup", state, chunk), seconds),
    mean_tokens: ids.reduce((sum, list) => sum + list.length, 0) / ids.length,
    encode_bytes: bytesPerCall(chunks, encode),
    decode_bytes: bytesPerCall(ids, decode),
  };
}

/** The peer's numbers, in the same form. */
function measurePeer() {
  const { status, stdout, stderr, error } = spawnSync(
    values.python,
    [
      values.peer,
      "--tokenizer",
      values.tokenizer,
      "--chunks",
      chunkFile,
      "--seconds",
      values.seconds,
      "--fit",
      values.fit,
    ],
    { encoding: "utf8", maxBuffer: 1 << 26 },
  );
  if (status === 0) return JSON.parse(stdout);
  throw new Error(
    `${values.python} ${values.peer}: ${error?.message ?? stderr}\n--python names an interpreter with numpy, scipy, tokenizers, pillow, safetensors; --alone does without`,
  );
}

/** The better of two results, key by key. */
function better(a, b) {
  if (!a) return b;
  const least = (key) => key === "fit_s" || key.endsWith("_bytes");
  return Object.fromEntries(
    Object.entries(a).map(([key, value]) => [key, (least(key) ? Math.min : Math.max)(value, b[key])]),
  );
}

const ours = {};
const peers = {};
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const corpus of corpora.values()) {
      const shape = corpus.shape.slice(1).join("x");
      ours[shape] = better(ours[shape], measure(corpus));
    }
    if (values.alone) continue;
    const found = measurePeer();
    for (const shape of Object.keys(ours)) peers[shape] = better(peers[shape], found[shape]);
  }
} finally {
  rmSync(folder, { recursive: true });
}

const ratio = (shape, key) => {
  const [here, there] = [ours[shape]?.[key], peers[shape]?.[key]];
  if (here === undefined || there === undefined) return undefined;
  return key === "fit_s" ? there / here : here / there;
};
if (values.json) {
  const keys = ["encode_per_chunk", "encode_batched", "decode", "fit_s"];
  const ratios = Object.fromEntries(
    Object.keys(peers).map((shape) => [
      shape,
      Object.fromEntries(keys.map((key) => [key, ratio(shape, key)])),
    ]),
  );
  console.log(JSON.stringify({ tokenizer: values.tokenizer, ours, peers, ratios }, null, 1));
} else {
  const cell = (value, unit) =>
    value === undefined ? "" : unit === "s" ? `${value.toFixed(3)} s` : `${(value / 1000).toFixed(1)} k/s`;
  const line = (...cells) =>
    console.log(cells.map((text, i) => (i ? text.padStart(11) : text.padEnd(30))).join(""));
  line(`${values.tokenizer.split("/").at(-1)}, one thread`, "here", "Python", "ratio");
  for (const [shape, row] of Object.entries(ours)) {
    const print = (what, key, unit) => {
      const times = ratio(shape, key);
      line(
        `${shape} ${what}`,
        cell(row[key], unit),
        cell(peers[shape]?.[key], unit),
        times ? `${times.toFixed(1)}x` : "",
      );
    };
    print("encode one by one", "encode_per_chunk");
    print("encode a batch", "encode_batched");
    print("decode", "decode");
    print(`fit ${count} chunks to ${vocabSize}`, "fit_s", "s");
    print("dct", "dct");
    print("idct", "idct");
    print("prompt, state and actions", "prompt");
    console.log(
      `${shape} allocates per chunk: encode ${row.encode_bytes.toFixed(0)} bytes (${row.mean_tokens.toFixed(1)} ids of 4 bytes are the result), ` +
        `decode ${row.decode_bytes.toFixed(0)} bytes (the result: ${shape} numbers of 8)`,
    );
  }
}
