/**
 * @file Arrays and NumPy scalars on the wire (openpi-client `msgpack_numpy.py`): maps whose keys are bytes,
 * `__ndarray__`, `data` (row-major), `dtype`, `shape`; and `__npgeneric__`, `data`, `dtype`.
 */
import { type Leaf, type NdArray, sizeOf } from "@insula/model-types";
import { dtypeOf, parseDtype } from "./dtype.js";
import { codecError } from "./limits.js";
import type { Packed, PackedMap } from "./msgpack-reader.js";
import type { Writer } from "./msgpack-writer.js";

const MAX_RANK = 8;
const KEYS = Object.fromEntries(
  ["__ndarray__", "__npgeneric__", "data", "dtype", "shape"].map((k) => [k, new TextEncoder().encode(k)]),
);

/**
 * The leaf that a map with bytes keys stands for.
 * @throws InsulaError `codec/ndarray` for other keys or missing ones, `codec/dtype`, `codec/shape`
 */
export function readArrayMap({ entries }: PackedMap): Leaf {
  const fields: Record<string, Packed> = Object.create(null);
  for (const [key, value] of entries) {
    const name = typeof key === "string" ? undefined : Buffer.from(key).toString("latin1");
    if (name === undefined || !Object.hasOwn(KEYS, name) || name in fields) {
      const shown = JSON.stringify((name ?? (key as string)).slice(0, 40));
      throw codecError(
        "ndarray",
        `expected one each of the bytes keys ${Object.keys(KEYS).join(", ")}, found ${shown}`,
      );
    }
    fields[name] = value;
  }
  if (fields["__ndarray__"] === true && !("__npgeneric__" in fields)) return readArray(fields);
  if (fields["__npgeneric__"] === true && !("__ndarray__" in fields)) return readScalar(fields);
  throw codecError("ndarray", "a map with bytes keys is neither an array nor a NumPy scalar");
}

function readArray({ data, dtype, shape }: Record<string, Packed>): Leaf {
  if (!(data instanceof Uint8Array)) throw codecError("ndarray", "an array's data are not bytes");
  if (typeof dtype !== "string")
    throw codecError("dtype", "an array's dtype is not text (structures are refused)");
  const { size, read } = parseDtype(dtype);
  const dims = checkShape(shape);
  // Compared as products of at most 2⁵³, never allocated: the shape is only what the bytes fill.
  const expected = sizeOf(dims) * size;
  if (data.length !== expected) {
    throw codecError(
      "shape",
      `shape [${dims.join(", ")}] of ${dtype} takes ${expected} bytes, found ${data.length}`,
    );
  }
  if (/^[<|][US]/.test(dtype) && sizeOf(dims) !== 1) {
    throw codecError("shape", `expected one text, found an array of them, [${dims.join(", ")}]`);
  }
  const values = read(data);
  return Array.isArray(values) ? values[0]! : { data: values, shape: dims };
}

function checkShape(shape: Packed | undefined): number[] {
  const ok =
    Array.isArray(shape) &&
    shape.length <= MAX_RANK &&
    shape.every((d) => Number.isSafeInteger(d) && (d as number) >= 0) &&
    Number.isSafeInteger(sizeOf((shape as number[]).filter((d) => d > 0)));
  if (ok) return shape as number[];
  const found = Array.isArray(shape)
    ? `[${shape.slice(0, MAX_RANK + 1).map((d) => (typeof d === "object" ? "…" : String(d)))}]`
    : typeof shape;
  throw codecError("shape", `expected at most ${MAX_RANK} sizes, found ${found}`);
}

/** A scalar keeps its width: a float32 as an array of shape `[]`, a number where that says the same. */
function readScalar({ data, dtype }: Record<string, Packed>): Leaf {
  if (typeof dtype !== "string") throw codecError("dtype", "a scalar's dtype is not text");
  parseDtype(dtype);
  if (data instanceof Uint8Array) return { data, shape: [data.length] };
  if (data === undefined || data === null || typeof data === "object") {
    throw codecError("ndarray", "a NumPy scalar without its value");
  }
  return dtype === "<f4" ? { data: Float32Array.of(Number(data)), shape: [] } : data;
}

/** Write an array as msgpack-numpy does. */
export function writeArray(out: Writer, { data, shape }: NdArray): void {
  out.map(4);
  out.bin(KEYS["__ndarray__"]!);
  out.bool(true);
  out.bin(KEYS["data"]!);
  out.bin(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  out.bin(KEYS["dtype"]!);
  out.str(dtypeOf(data));
  out.bin(KEYS["shape"]!);
  out.list(shape.length);
  for (const d of shape) out.int(BigInt(d));
}
