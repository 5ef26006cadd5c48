/** @file The index at the end of a shard (zarr v3 `sharding_indexed`): offset and length of every chunk in it. */
import { InsulaError, sizeOf } from "@insula/model-types";
import { type ByteRange, rangeLength, readRange, subRange } from "../store/byte-range.js";
import { crc32c } from "../store/crc.js";
import type { KeyValueStore } from "../store/key-value.js";
import type { ArrayMeta, Shard } from "./zarr-meta.js";

const MAX_INDEX = 1 << 26;
const EMPTY = 0xffffffffffffffffn;

/** Where a chunk lies; undefined when it was never written. */
export async function shardChunk(
  store: KeyValueStore,
  array: ArrayMeta & { readonly name: string },
  shard: Shard,
  coordinate: readonly number[],
  what: string,
): Promise<ByteRange | undefined> {
  const perShard = shard.shape.map((d, i) => d / array.chunk[i]!);
  const key = `${array.name}/${array.chunkKey(coordinate.map((x, i) => Math.floor(x / perShard[i]!)))}`;
  const range = store.get(key);
  if (!range) return undefined;
  const length = 16 * sizeOf(perShard) + (shard.checksum ? 4 : 0);
  const bytes = await readRange(subRange(range, rangeLength(range) - length, length, what), MAX_INDEX, what);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (shard.checksum && view.getUint32(length - 4, true) !== crc32c(bytes.subarray(0, length - 4)))
    throw new InsulaError("weights/zarr", `${what}: wrong checksum of the shard's index`);
  let entry = 0;
  for (const [i, x] of coordinate.entries()) entry = entry * perShard[i]! + (x % perShard[i]!);
  const [offset, size] = [view.getBigUint64(16 * entry, true), view.getBigUint64(16 * entry + 8, true)];
  if (offset === EMPTY && size === EMPTY) return undefined;
  return subRange(range, Number(offset), Number(size), what);
}
