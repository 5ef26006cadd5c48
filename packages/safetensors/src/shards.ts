/**
 * @file Tensors over several files, as Hugging Face splits them: `model-00001-of-00003.safetensors` and
 * `model.safetensors.index.json`, which says where each tensor is. What fits one file is one.
 */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { writeSynced } from "./durable.js";
import { bytesOf, type StreamedTensor, streamSafetensors } from "./stream.js";

/** Hugging Face's "2GB". */
export const SHARD_BYTES: number = 2e9;

/** What {@link writeShardedSafetensors} wrote. */
export interface WrittenFile {
  path: string;
  bytes: number;
  /** Of the bytes as they went to the file, in hexadecimal. */
  sha256: string;
}

/** How tensors are divided among files. */
export interface ShardOptions {
  /** Most bytes of tensors in one file, default 2 GB; a larger tensor has a file of its own. */
  shardBytes?: number;
  /** For every file's header. */
  metadata?: Record<string, string>;
}

/** The content of an index. */
export interface ShardIndex {
  metadata: { total_size: number };
  /** Tensor → name of the file beside the index. */
  weight_map: Record<string, string>;
}

/** The index of the tensors that are named by `path`, a `.safetensors` file. */
export const indexPath = (path: string): string => `${path}.index.json`;

/**
 * Write `tensors` to `path`, or, where they exceed a shard, beside it: shards first, the index last. No more than a
 * chunk is held. Files that an earlier call wrote for the same `path` are not deleted.
 * @param path ends in `.safetensors`.
 * @returns every file, the index included.
 * @throws as `streamSafetensors`; files written before the failing one stay.
 */
export async function writeShardedSafetensors(
  path: string,
  tensors: Iterable<StreamedTensor>,
  { shardBytes = SHARD_BYTES, metadata }: ShardOptions = {},
): Promise<WrittenFile[]> {
  const shards = splitShards(tensors, shardBytes);
  if (shards.length <= 1) return [await writeDigested(path, shards[0] ?? [], metadata)];
  const written: WrittenFile[] = [];
  const map: [string, string][] = [];
  for (const [i, shard] of shards.entries()) {
    const file = shardPath(path, i + 1, shards.length);
    written.push(await writeDigested(file, shard, metadata));
    for (const { name } of shard) map.push([name, basename(file)]);
  }
  const index: ShardIndex = {
    metadata: { total_size: shards.flat().reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
    weight_map: Object.fromEntries(map.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  const text = new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`);
  const at = indexPath(path);
  await writeSynced(at, text);
  written.push({ path: at, bytes: text.length, sha256: createHash("sha256").update(text).digest("hex") });
  return written;
}

/** Fill shards in the order of the tensors (`split_state_dict_into_shards_factory` of huggingface_hub). */
export function splitShards(tensors: Iterable<StreamedTensor>, shardBytes: number): StreamedTensor[][] {
  const shards: StreamedTensor[][] = [];
  let current: StreamedTensor[] = [];
  let size = 0;
  const close = () => {
    if (current.length > 0) shards.push(current);
    current = [];
    size = 0;
  };
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (bytes > shardBytes) {
      shards.push([tensor]);
      continue;
    }
    if (size + bytes > shardBytes) close();
    current.push(tensor);
    size += bytes;
  }
  close();
  return shards;
}

function shardPath(path: string, number: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, "0");
  const stem = basename(path, ".safetensors");
  return join(dirname(path), `${stem}-${digits(number)}-of-${digits(count)}.safetensors`);
}

async function writeDigested(
  path: string,
  tensors: readonly StreamedTensor[],
  metadata: Record<string, string> | undefined,
): Promise<WrittenFile> {
  const hash = createHash("sha256");
  let bytes = 0;
  await streamSafetensors(path, tensors, metadata, (part) => {
    hash.update(part);
    bytes += part.length;
  });
  return { path, bytes, sha256: hash.digest("hex") };
}
