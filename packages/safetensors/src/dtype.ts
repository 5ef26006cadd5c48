/**
 * @file Element types of the safetensors format and their storage here. JavaScript on Node 20 has no 16-bit
 * float array, so F16 and BF16 keep their bits in `Uint16Array`; `toFloat32` and `toBf16` convert.
 */
import { InsulaError, type TypedArray } from "@insula/model-types";

/** An element type as headers spell it. The format's others, such as F8_E4M3, are refused. */
export type Dtype =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

type ArrayConstructor = new (buffer: ArrayBuffer, offset?: number, length?: number) => TypedArray;

const STORAGE: Record<Dtype, ArrayConstructor & { BYTES_PER_ELEMENT: number }> = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** The typed array that stores `dtype`. @throws InsulaError `safetensors/dtype` for an unknown name. */
export function storageOf(dtype: string): ArrayConstructor & { BYTES_PER_ELEMENT: number } {
  const storage = STORAGE[dtype as Dtype];
  if (!storage) {
    throw new InsulaError(
      "safetensors/dtype",
      `safetensors: unknown dtype '${dtype}', expected one of ${Object.keys(STORAGE).join(", ")}`,
    );
  }
  return storage;
}

/** The dtype that a typed array is written as when none is named. */
export function dtypeOf(data: TypedArray): Dtype {
  for (const dtype of ["F64", "F32", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"] as const) {
    if (data instanceof STORAGE[dtype]) return dtype;
  }
  throw new InsulaError("safetensors/dtype", `safetensors: no dtype for ${data.constructor.name}`);
}

/** bfloat16 bits → float32 values (exact). */
export function bf16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

/** float32 values → bfloat16 bits, round to nearest, ties to even; NaN stays NaN. */
export function float32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i]!;
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** IEEE half bits → float32 values (exact). */
export function f16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!;
    const sign = b & 0x8000 ? -1 : 1;
    const exponent = (b >> 10) & 31;
    const fraction = b & 1023;
    if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}
