/** @file Chunks for benchmarks: read from a safetensors file, made more by mixing, written for a peer to read. */
import { readFileSync, writeFileSync } from "node:fs";

/** Name → `{ data, shape }` of the float32 tensors `corpus…` [n, horizon, dim] of a safetensors file. */
export function readCorpora(path) {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  const corpora = new Map();
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(header)) {
    if (dtype !== "F32" || !name.startsWith("corpus") || shape.length !== 3) continue;
    const [begin, end] = range;
    const copy = Uint8Array.from(bytes.subarray(8 + length + begin, 8 + length + end));
    corpora.set(name, { data: new Float32Array(copy.buffer), shape });
  }
  return corpora;
}

/** `count` chunks: those there are, then means of two of them, always the same ones. */
export function extend({ data, shape: [n, horizon, dim] }, count) {
  const size = horizon * dim;
  const out = new Float32Array(count * size);
  out.set(data.subarray(0, Math.min(n, count) * size));
  let state = 1;
  const pick = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  for (let c = n; c < count; c++) {
    const [a, b, w] = [pick() * size, pick() * size, 0.3 + (0.4 * pick()) / n];
    for (let i = 0; i < size; i++) out[c * size + i] = w * data[a + i] + (1 - w) * data[b + i];
  }
  return { data: out, shape: [count, horizon, dim] };
}

/** Write float32 tensors as safetensors. */
export function writeCorpora(path, corpora) {
  const header = {};
  let end = 0;
  for (const [name, { data, shape }] of corpora) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const parts = [...corpora.values()].map(({ data }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  );
  writeFileSync(path, Buffer.concat([length, json, ...parts]));
}
