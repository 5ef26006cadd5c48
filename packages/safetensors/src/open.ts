/** @file Tensors by name, whether they lie in one file or in shards with an index. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { openSafetensors, type SafetensorsFile } from "./file.js";
import type { FileTensor, TensorInfo } from "./format.js";
import { indexPath, type ShardIndex } from "./shards.js";

/** Open tensors: read any by name, then close. */
export interface TensorFiles {
  /** The file, or the index of the shards. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, Pick<TensorInfo, "dtype" | "shape">>;
  /** Of all headers; of one key in several the last. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Read one tensor. @throws InsulaError `safetensors/missing` when there is none of that name. */
  read(name: string): Promise<FileTensor>;
  /** As {@link SafetensorsFile.readElements}. */
  readElements(name: string, begin: number, end: number): Promise<FileTensor>;
  /** Close every file; no tensor can be read afterwards. */
  close(): Promise<void>;
}

/**
 * Open `path`, or the shards beside it when there is no such file but its `.index.json`. The index's own path will do.
 * @throws InsulaError `safetensors/index` for an index that is none, names what is not there or lies elsewhere; the file
 *   system's ENOENT when there is neither file nor index.
 */
export async function openTensors(path: string): Promise<TensorFiles> {
  if (path.endsWith(".index.json")) return openShards(path);
  try {
    return await openSafetensors(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return openShards(indexPath(path)).catch((other: NodeJS.ErrnoException) => {
      throw other.code === "ENOENT" ? error : other;
    });
  }
}

/** Read every tensor of `path` or of the shards beside it. */
export async function readTensors(path: string): Promise<Map<string, FileTensor>> {
  const file = await openTensors(path);
  try {
    const out = new Map<string, FileTensor>();
    for (const name of file.tensors.keys()) out.set(name, await file.read(name));
    return out;
  } finally {
    await file.close();
  }
}

async function openShards(index: string): Promise<TensorFiles> {
  const map = parseIndex(await readFile(index, "utf8"), index);
  const files = new Map<string, SafetensorsFile>();
  const close = async () => {
    for (const file of files.values()) await file.close();
  };
  try {
    const tensors = new Map<string, TensorInfo>();
    let metadata: Record<string, string> = {};
    for (const [name, shard] of map) {
      let file = files.get(shard);
      if (!file) {
        file = await openShard(index, shard);
        files.set(shard, file);
        metadata = { ...metadata, ...file.metadata };
      }
      const info = file.tensors.get(name);
      if (!info) throw bad(index, `'${name}' should be in ${shard}, which does not have it`);
      tensors.set(name, info);
    }
    const holder = (name: string): SafetensorsFile => {
      const shard = map.get(name);
      if (shard === undefined) throw new InsulaError("safetensors/missing", `${index}: no tensor '${name}'`);
      return files.get(shard)!;
    };
    return {
      path: index,
      tensors,
      metadata,
      read: async (name) => holder(name).read(name),
      readElements: async (name, begin, end) => holder(name).readElements(name, begin, end),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function openShard(index: string, shard: string): Promise<SafetensorsFile> {
  return openSafetensors(join(dirname(index), shard)).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "ENOENT" ? bad(index, `names ${shard}, which is not there`, cause) : cause;
  });
}

/** Tensor → file. A file elsewhere is refused: an index is data, and may be anybody's. */
function parseIndex(text: string, index: string): Map<string, string> {
  let json: Partial<ShardIndex> | null;
  try {
    json = JSON.parse(text) as Partial<ShardIndex> | null;
  } catch (cause) {
    throw bad(index, "not JSON", cause);
  }
  const map = json?.weight_map;
  if (typeof map !== "object" || map === null) throw bad(index, "expected an object with a weight_map");
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw bad(
        index,
        `${name}: expected the name of a .safetensors file beside it, found ${JSON.stringify(file)}`,
      );
    }
  }
  return new Map(Object.entries(map));
}

const bad = (index: string, problem: string, cause?: unknown): InsulaError =>
  new InsulaError("safetensors/index", `${index}: ${problem}`, cause === undefined ? {} : { cause });
