/**
 * @file Parameters that a source does not have, drawn block by block: a parameter's numbers depend on the seed
 * and its own name alone, whatever else is initialised. The stream of bits is AES in counter mode.
 */
import { createCipheriv, createHash } from "node:crypto";
import type { Init } from "@insula/ki-model";
import { CHUNK_ELEMENTS } from "./source.js";

/** flax's truncated normal cuts at two standard deviations and rescales by this to keep the variance. */
const TRUNCATED_STD = 0.87962566103423978;

/** The elements of a parameter, in chunks. */
export function* drawParam(init: Init, count: number, seed: number, path: string): Generator<Float32Array> {
  const next = sampler(init, uniforms(seed, path));
  for (let at = 0; at < count; at += CHUNK_ELEMENTS) {
    const chunk = new Float32Array(Math.min(CHUNK_ELEMENTS, count - at));
    for (let i = 0; i < chunk.length; i++) chunk[i] = next();
    yield chunk;
  }
}

/** An initialiser in words. */
export function describeInit(init: Init): string {
  switch (init.kind) {
    case "normal":
      return `normal, std ${init.std.toPrecision(3)}`;
    case "lecun-normal":
      return `LeCun normal, fan-in ${init.fanIn}`;
    case "xavier-uniform":
      return `Xavier uniform, ${init.fanIn} to ${init.fanOut}`;
    default:
      return init.kind;
  }
}

function sampler(init: Init, uniform: () => number): () => number {
  switch (init.kind) {
    case "zeros":
      return () => 0;
    case "ones":
      return () => 1;
    case "normal":
      return () => init.std * normal(uniform);
    case "lecun-normal": {
      const std = Math.sqrt(1 / init.fanIn) / TRUNCATED_STD;
      return () => {
        for (;;) {
          const x = normal(uniform);
          if (Math.abs(x) < 2) return std * x;
        }
      };
    }
    case "xavier-uniform": {
      const limit = Math.sqrt(6 / (init.fanIn + init.fanOut));
      return () => limit * (2 * uniform() - 1);
    }
  }
}

/** One draw of N(0, 1), Box–Muller. */
const normal = (uniform: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

/** Numbers in [0, 1) with 32 bits each. */
function uniforms(seed: number, path: string): () => number {
  const key = createHash("sha256").update(`${seed}/${path}`).digest();
  const cipher = createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16));
  const zeros = new Uint8Array(1 << 14);
  let words = new DataView(zeros.buffer, 0, 0);
  let at = 0;
  return () => {
    if (at === words.byteLength) {
      const block = cipher.update(zeros);
      words = new DataView(block.buffer, block.byteOffset, block.byteLength);
      at = 0;
    }
    at += 4;
    return words.getUint32(at - 4, true) / 2 ** 32;
  };
}
