/** @file big_vision's PaliGemma checkpoints: a `.npz` with the vision tower and the language model of openpi's tree. */
import { InsulaError, sizeOf } from "@insula/model-types";
import { floats } from "../jax/orbax.js";
import { collect, type SourceTensor, type WeightSource } from "../source.js";
import { MAX_NPY_HEADER, type NpyHeader, npyDataLength, parseNpy } from "./npy.js";
import { readZip, streamEntry, type ZipEntry } from "./zip.js";

/**
 * Open a `.npz`. Names become openpi's: `params/img/…` is `PaliGemma/img/…`.
 * @throws InsulaError `weights/zip`, `weights/npy` or `weights/dtype` naming file and array.
 */
export async function openNpz(path: string): Promise<WeightSource> {
  const arrays = new Map<string, { entry: ZipEntry; header: NpyHeader }>();
  for (const entry of await readZip(path)) {
    const what = `${path}: ${entry.name}`;
    const header = parseNpy(await firstBytes(path, entry), what);
    if (header.length + npyDataLength(header) !== entry.size) {
      throw new InsulaError(
        "weights/npy",
        `${what}: ${header.dtype}[${header.shape.join(", ")}] needs ${header.length + npyDataLength(header)} bytes, the entry has ${entry.size}`,
      );
    }
    arrays.set(treePath(entry.name), { entry, header });
  }
  const find = (name: string) => {
    const array = arrays.get(name);
    if (!array) throw new InsulaError("weights/missing", `${path}: no array '${name}'`);
    return array;
  };
  const chunks = (name: string) => {
    const { entry, header } = find(name);
    return floats(skip(streamEntry(path, entry), header.length), header.dtype);
  };
  return {
    format: "big_vision",
    path,
    tensors: new Map(
      [...arrays].map(([name, { header }]): [string, SourceTensor] => [
        name,
        { dtype: header.dtype, shape: header.shape },
      ]),
    ),
    facts: {},
    chunks,
    read: (name) => collect(chunks(name), sizeOf(find(name).header.shape), `${path}: ${name}`),
    close: async () => undefined,
  };
}

/** `params/llm/final_norm/scale.npy` → `PaliGemma/llm/final_norm/scale`. */
const treePath = (entry: string): string =>
  entry.replace(/\.npy$/, "").replace(/^params\/(img|llm)\//, "PaliGemma/$1/");

async function firstBytes(path: string, entry: ZipEntry): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of streamEntry(path, entry)) {
    parts.push(part.subarray(0, MAX_NPY_HEADER - length));
    length += parts.at(-1)!.length;
    if (length >= MAX_NPY_HEADER) break;
  }
  return Buffer.concat(parts);
}

async function* skip(pieces: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const piece of pieces) {
    const rest = piece.subarray(Math.min(left, piece.length));
    left -= piece.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}
