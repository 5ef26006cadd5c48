/**
 * @file Messages of the openpi-client protocol: observations in, results and metadata out, as MessagePack with
 * NumPy arrays in it.
 */
import { isNdArray, type Leaf, type NdArray, type Sample } from "@insula/model-types";
import { type CodecLimits, codecError } from "./limits.js";
import { type Packed, type PackedMap, unpack } from "./msgpack-reader.js";
import { createWriter, type Writer } from "./msgpack-writer.js";
import { readArrayMap, writeArray } from "./ndarray.js";

/** What can be sent. A number is a Python float, a bigint a Python int, whatever its value. */
export type Message = Leaf | null | readonly Message[] | { readonly [key: string]: Message };

/**
 * Encode to the bytes that openpi's own packer would make.
 */
export function encodeMessage(message: Message): Uint8Array {
  const out = createWriter();
  write(out, message);
  return out.finish();
}

function write(out: Writer, value: Message): void {
  if (value === null) out.nil();
  else if (typeof value === "string") out.str(value);
  else if (typeof value === "boolean") out.bool(value);
  else if (typeof value === "number") out.float(value);
  else if (typeof value === "bigint") out.int(value);
  else if (isNdArray(value)) writeArray(out, value);
  else if (isList(value)) {
    out.list(value.length);
    for (const item of value) write(out, item);
  } else {
    const entries = Object.entries(value);
    out.map(entries.length);
    for (const [key, item] of entries) {
      out.str(key);
      write(out, item);
    }
  }
}

const isList = (value: Message): value is readonly Message[] => Array.isArray(value);

/**
 * Decode an observation: a map of text keys, nested or not. Arrays of bytes are views into `bytes`, others copies.
 * Python's `bytes` become `[n]` uint8, a list of numbers `[n]` (nested: `[n, …]`) float64, `None` is left out.
 * @throws InsulaError `codec/…`: see {@link unpack} and {@link readArrayMap}; `codec/key` for a key that occurs
 *   twice or is `__proto__`, `codec/list` for lists of something else, `codec/message` unless it is a map
 */
export function decodeObservation(bytes: Uint8Array, limits: Partial<CodecLimits> = {}): Sample {
  const value = unpack(bytes, limits);
  const sample = isMap(value) ? readMap(value) : undefined;
  if (sample !== undefined && typeof sample === "object" && !isNdArray(sample)) return sample;
  throw codecError("message", "expected an observation, a map of text keys");
}

const isMap = (value: Packed): value is PackedMap =>
  typeof value === "object" &&
  value !== null &&
  "entries" in value &&
  !ArrayBuffer.isView(value) &&
  !Array.isArray(value);

function readMap(map: PackedMap): Sample | Leaf {
  if (map.entries.some(([key]) => typeof key !== "string")) return readArrayMap(map);
  const seen = new Set<string>();
  const out: [string, Leaf | Sample][] = [];
  for (const [key, value] of map.entries as readonly (readonly [string, Packed])[]) {
    if (seen.has(key) || key === "__proto__") {
      throw codecError("key", `the key ${JSON.stringify(key.slice(0, 40))} occurs twice or is not allowed`);
    }
    seen.add(key);
    if (value !== null) out.push([key, readValue(key, value)]);
  }
  return Object.fromEntries(out);
}

function readValue(key: string, value: Exclude<Packed, null>): Leaf | Sample {
  if (value instanceof Uint8Array) return { data: value, shape: [value.length] };
  if (Array.isArray(value)) return readList(key, value);
  return typeof value === "object" ? readMap(value) : value;
}

/** `np.asarray` of nested lists of numbers. */
function readList(key: string, list: Packed[]): NdArray<Float64Array> {
  const shape: number[] = [];
  for (let at: Packed | undefined = list; Array.isArray(at); at = at[0]) shape.push(at.length);
  const flat: number[] = [];
  const walk = (value: Packed, axis: number): void => {
    const fits = Array.isArray(value) ? value.length === shape[axis] : axis === shape.length;
    if (!fits || !(Array.isArray(value) || typeof value === "number" || typeof value === "bigint")) {
      throw codecError(
        "list",
        `${JSON.stringify(key.slice(0, 40))}: expected numbers in lists of equal lengths`,
      );
    }
    if (Array.isArray(value)) for (const item of value) walk(item, axis + 1);
    else flat.push(Number(value));
  };
  walk(list, 0);
  return { data: Float64Array.from(flat), shape };
}
