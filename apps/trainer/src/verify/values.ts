/** @file JSON values and typed arrays as the goldens hold them: reading, nesting, naming, converting. */
import { InsulaError, type NdArray, sizeOf, type TypedArray } from "@insula/model-types";
import type { Dtype } from "@insula/safetensors";

type Json = Record<string, unknown>;

/** Parse a JSON file, Python's too. @throws InsulaError `verify/json`. */
export function parseJson(text: string, path: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    // Python writes NaN and Infinity, which JSON has not.
    const quoted = text.replace(/([:[,]\s*)(-?Infinity|NaN)\b/g, '$1"$2"');
    const number = (_: string, v: unknown) =>
      v === "NaN" || v === "Infinity" || v === "-Infinity" ? Number(v) : v;
    if (quoted !== text) return JSON.parse(quoted, number) as Json;
    throw new InsulaError("verify/json", `${path}: not JSON (${(cause as Error).message})`, { cause });
  }
}

/** A number or nested lists of numbers as an array; undefined for everything else. */
export function asArray(value: unknown): NdArray | undefined {
  if (typeof value === "number") return { data: Float64Array.of(value), shape: [] };
  if (!Array.isArray(value)) return undefined;
  const shape: number[] = [];
  for (let v: unknown = value; Array.isArray(v); v = v[0]) shape.push(v.length);
  const flat = value.flat(shape.length as 1) as unknown[];
  if (!flat.every((v) => typeof v === "number")) return undefined;
  return flat.length === sizeOf(shape) ? { data: Float64Array.from(flat as number[]), shape } : undefined;
}

/** Set a nested value, making lists where `like` has lists. */
export function setAt(target: Json, keys: readonly string[], value: unknown, like: unknown): void {
  let at = target;
  let model = like;
  for (const key of keys.slice(0, -1)) {
    model = (model as Json | undefined)?.[key];
    at = (at[key] ??= Array.isArray(model) ? [] : {}) as Json;
  }
  at[keys.at(-1)!] = value;
}

/** JSON with the keys in order. */
export function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, v) =>
    typeof v === "object" && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
}

export function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

export function indexOf(flat: number, shape: readonly number[]): string {
  const index: number[] = [];
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return index.join(", ");
}

const STORAGE = {
  F64: Float64Array,
  F32: Float32Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/** The same numbers in the storage of `dtype`. */
export function castTo(data: TypedArray, dtype: Dtype): TypedArray {
  if (dtype === "I64" || dtype === "U64") {
    const Big = dtype === "I64" ? BigInt64Array : BigUint64Array;
    return data instanceof Big ? data : Big.from(Array.from(data as Float64Array, (v) => BigInt(v)));
  }
  const Storage = STORAGE[dtype as keyof typeof STORAGE];
  if (!Storage || data instanceof Storage) return data;
  return Storage.from(Array.from(data as ArrayLike<number | bigint>, Number));
}
