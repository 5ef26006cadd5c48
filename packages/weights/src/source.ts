/** @file What every format is read as: named float tensors whose elements can be streamed. */

import { InsulaError } from "@insula/model-types";
import { bf16ToFloat32, type Dtype, f16ToFloat32 } from "@insula/safetensors";

/** The formats that can be read. `openpi-jax` is orbax; `insula` is a checkpoint of this project. */
export type SourceFormat = "openpi-pytorch" | "lerobot" | "openpi-jax" | "big_vision" | "insula";

/** The element types of released weights. All become float32, exactly. */
export type FloatDtype = "F32" | "BF16" | "F16";

/** One tensor of a source. */
export interface SourceTensor {
  readonly dtype: FloatDtype;
  readonly shape: readonly number[];
}

/** Released weights, opened: names, types and shapes are known; elements are read on demand. */
export interface WeightSource {
  readonly format: SourceFormat;
  /** The file or folder, for messages. */
  readonly path: string;
  /** By the source's own names, cleared of what only the container adds (`params/…/value`). */
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** Facts from the files beside the weights (`config.json`) that shapes do not tell. */
  readonly facts: SourceFacts;
  /** Elements in row-major order as float32, in chunks of a few MB at most. */
  chunks(name: string): AsyncIterable<Float32Array<ArrayBuffer>>;
  /** A whole tensor; only for those of one layer, which fit memory. */
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** Close the files; nothing can be read after it. */
  close(): Promise<void>;
}

/** What a folder says about its model beside the weights themselves. */
export interface SourceFacts {
  actionHorizon?: number;
  maxTokenLen?: number;
  siglipHeads?: number;
  numKvHeads?: number;
}

/** Elements of one chunk: 16 MB of float32. */
export const CHUNK_ELEMENTS: number = 1 << 22;

/** Check that a tensor's type is one of {@link FloatDtype}. @throws InsulaError `weights/dtype`. */
export function floatDtype(dtype: Dtype | string, path: string, name: string): FloatDtype {
  if (dtype === "F32" || dtype === "BF16" || dtype === "F16") return dtype;
  throw new InsulaError("weights/dtype", `${path}: ${name}: expected F32, BF16 or F16, found ${dtype}`);
}

/** Bytes of one element. */
export const dtypeBytes = (dtype: FloatDtype): number => (dtype === "F32" ? 4 : 2);

/** Little-endian elements as float32, exactly. `bytes` may lie at any offset. */
export function toFloat32(bytes: Uint8Array, dtype: FloatDtype): Float32Array<ArrayBuffer> {
  const { buffer } = new Uint8Array(bytes); // a copy: aligned, and not shared
  if (dtype === "F32") return new Float32Array(buffer);
  const bits = new Uint16Array(buffer);
  return dtype === "BF16" ? bf16ToFloat32(bits) : f16ToFloat32(bits);
}

/** Read a stream of a known length into one array. @throws InsulaError `weights/truncated`. */
export async function collect(
  chunks: AsyncIterable<Float32Array>,
  length: number,
  what: string,
): Promise<Float32Array<ArrayBuffer>> {
  const out = new Float32Array(length);
  let at = 0;
  for await (const chunk of chunks) {
    if (at + chunk.length > length) throw lengthError(what, length, at + chunk.length);
    out.set(chunk, at);
    at += chunk.length;
  }
  if (at !== length) throw lengthError(what, length, at);
  return out;
}

const lengthError = (what: string, expected: number, found: number) =>
  new InsulaError("weights/truncated", `${what}: expected ${expected} elements, found ${found}`);
