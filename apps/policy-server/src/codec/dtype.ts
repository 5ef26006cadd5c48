/**
 * @file NumPy's element types by their descriptor (`dtype.str`): byte order, kind, bytes per element. Little-endian
 * numbers, booleans and text; never objects, which other readers unpickle.
 */
import type { TypedArray } from "@insula/model-types";
import { codecError } from "./limits.js";

/** How elements of one type are read. */
export interface Dtype {
  /** Bytes per element. */
  size: number;
  /** A copy of `bytes` (whole elements) as numbers, or as text. */
  read(bytes: Uint8Array): TypedArray | string[];
}

type Make = new (buffer: ArrayBuffer) => TypedArray;

/** Message bytes stand at any offset, typed arrays only at multiples of their element: hence the copy. */
const plain = (size: number, Type: Make): Dtype => ({
  size,
  read: (bytes) => new Type(bytes.slice().buffer as ArrayBuffer),
});

const NUMBERS: Readonly<Record<string, Dtype>> = {
  // What arrives in one piece stays where it is: images are most of a message.
  "|u1": { size: 1, read: (bytes) => bytes },
  "|i1": plain(1, Int8Array),
  "|b1": { size: 1, read: (bytes) => bytes.map((b) => (b === 0 ? 0 : 1)) },
  "<u2": plain(2, Uint16Array),
  "<i2": plain(2, Int16Array),
  "<u4": plain(4, Uint32Array),
  "<i4": plain(4, Int32Array),
  "<u8": plain(8, BigUint64Array),
  "<i8": plain(8, BigInt64Array),
  "<f2": { size: 2, read: readHalf },
  "<f4": plain(4, Float32Array),
  "<f8": plain(8, Float64Array),
};

const NAMES = new Map<unknown, string>([
  [Uint8Array, "|u1"],
  [Int8Array, "|i1"],
  [Uint16Array, "<u2"],
  [Int16Array, "<i2"],
  [Uint32Array, "<u4"],
  [Int32Array, "<i4"],
  [BigUint64Array, "<u8"],
  [BigInt64Array, "<i8"],
  [Float32Array, "<f4"],
  [Float64Array, "<f8"],
]);

/** Longest fixed-width text, in characters. */
const MAX_TEXT = 65536;

/**
 * The element type that a descriptor names.
 * @throws InsulaError `codec/dtype` for objects, structures, complex numbers, big-endian and unknown ones
 */
export function parseDtype(descriptor: string): Dtype {
  if (Object.hasOwn(NUMBERS, descriptor)) return NUMBERS[descriptor]!;
  const text = /^(<U|\|S)([1-9]\d{0,5})$/.exec(descriptor);
  const length = Number(text?.[2]);
  if (text && length <= MAX_TEXT) return text[1] === "<U" ? utf32(length) : ascii(length);
  const found = JSON.stringify(descriptor.slice(0, 40));
  if (/^>/.test(descriptor)) {
    throw codecError(
      "dtype",
      `dtype ${found}: big-endian; send little-endian (x.astype(x.dtype.newbyteorder('<')))`,
    );
  }
  if (/^\|?[OV]/.test(descriptor)) {
    throw codecError(
      "dtype",
      `dtype ${found}: objects and structures are not accepted; send numbers or text`,
    );
  }
  throw codecError("dtype", `dtype ${found}: expected ${Object.keys(NUMBERS).join(", ")}, <U… or |S…`);
}

/** The descriptor of a typed array's elements. */
export function dtypeOf(data: TypedArray): string {
  return NAMES.get(data.constructor)!;
}

/** NumPy pads text with zeros at its end. */
const unpadded = (text: string): string => text.replace(/\0+$/, "");

function utf32(length: number): Dtype {
  const size = 4 * length;
  const read = (bytes: Uint8Array): string[] => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.length / size }, (_, i) => {
      let out = "";
      for (let k = 0; k < length; k++) {
        const code = view.getUint32(i * size + 4 * k, true);
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
          throw codecError("utf8", `0x${code.toString(16)} is not a character`);
        }
        out += String.fromCodePoint(code);
      }
      return unpadded(out);
    });
  };
  return { size, read };
}

function ascii(size: number): Dtype {
  const read = (bytes: Uint8Array): string[] => {
    try {
      const decoder = new TextDecoder("utf-8", { fatal: true });
      return Array.from({ length: bytes.length / size }, (_, i) =>
        unpadded(decoder.decode(bytes.subarray(i * size, (i + 1) * size))),
      );
    } catch (cause) {
      throw codecError("utf8", "an array of bytes is not UTF-8", cause);
    }
  };
  return { size, read };
}

/** IEEE 754 binary16 as float32: exact. */
function readHalf(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const h = view.getUint16(2 * i, true);
    const sign = h & 0x8000 ? -1 : 1;
    const [exponent, fraction] = [(h >> 10) & 0x1f, h & 0x3ff];
    if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
  });
}
