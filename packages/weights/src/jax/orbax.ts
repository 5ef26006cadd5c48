/**
 * @file orbax `params/` folders as openpi writes and releases them: one zarr array per parameter, in an OCDBT
 * database or as plain folders. Names are the tree's path joined by dots, wrapped in `params.` and, when
 * training wrote them, with `.value` behind (nnx.State).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InsulaError, sizeOf } from "@insula/model-types";
import { collect, dtypeBytes, type SourceTensor, toFloat32, type WeightSource } from "../source.js";
import { readFolderStore } from "../store/key-value.js";
import { readOcdbt } from "../store/ocdbt.js";
import { listArrays, streamArray, type ZarrArray } from "./zarr.js";

/** Whether a folder is an orbax item. */
export const isOrbax = (path: string): boolean =>
  existsSync(join(path, "manifest.ocdbt")) || existsSync(join(path, "_METADATA"));

/**
 * Open the `params/` folder of an openpi JAX checkpoint.
 * @throws InsulaError `weights/ocdbt`, `weights/zarr` or `weights/format` naming the file.
 */
export async function openOrbax(path: string): Promise<WeightSource> {
  const store = existsSync(join(path, "manifest.ocdbt"))
    ? await readOcdbt(path)
    : await readFolderStore(path);
  const arrays = new Map<string, ZarrArray>();
  for (const [name, array] of await listArrays(store, path)) {
    const clean = treePath(name);
    if (arrays.has(clean)) throw new InsulaError("weights/format", `${path}: two arrays are named ${clean}`);
    arrays.set(clean, array);
  }
  if (arrays.size === 0)
    throw new InsulaError("weights/format", `${path}: an orbax folder without arrays, ${store.size} keys`);
  const find = (name: string): ZarrArray => {
    const array = arrays.get(name);
    if (!array) throw new InsulaError("weights/missing", `${path}: no parameter '${name}'`);
    return array;
  };
  const chunks = (name: string) => floats(streamArray(store, find(name), path), find(name).dtype);
  return {
    format: "openpi-jax",
    path,
    tensors: new Map(
      [...arrays].map(([name, { dtype, shape }]): [string, SourceTensor] => [name, { dtype, shape }]),
    ),
    facts: {},
    chunks,
    read: (name) => collect(chunks(name), sizeOf(find(name).shape), `${path}: ${name}`),
    close: async () => undefined,
  };
}

/** `params.PaliGemma.img.head.bias.value` → `PaliGemma/img/head/bias`. */
function treePath(name: string): string {
  const parts = name.split(/[./]/);
  if (parts[0] === "params") parts.shift();
  if (parts.at(-1) === "value") parts.pop();
  return parts.join("/");
}

/** Bytes as floats; pieces may end within an element. */
export async function* floats(
  pieces: AsyncIterable<Uint8Array>,
  dtype: SourceTensor["dtype"],
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const width = dtypeBytes(dtype);
  let held: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    let bytes = piece;
    if (held.length > 0) {
      bytes = new Uint8Array(held.length + piece.length);
      bytes.set(held);
      bytes.set(piece, held.length);
    }
    const whole = bytes.length - (bytes.length % width);
    held = bytes.slice(whole);
    if (whole > 0) yield toFloat32(bytes.subarray(0, whole), dtype);
  }
  if (held.length > 0)
    throw new InsulaError("weights/truncated", `${held.length} bytes are left of an element`);
}
