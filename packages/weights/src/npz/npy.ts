/** @file The header of a `.npy` array (numpy `lib/format.py`): a Python literal, of which three keys are read. */
import { InsulaError, sizeOf } from "@insula/model-types";
import { dtypeBytes, type FloatDtype } from "../source.js";

/** What a header says. */
export interface NpyHeader {
  readonly dtype: FloatDtype;
  readonly shape: readonly number[];
  /** Length of the header with everything before it. */
  readonly length: number;
}

/** As much as has to be read to have any header: numpy's own limit on literals. */
export const MAX_NPY_HEADER = 10_012;

/** big_vision's names for types: bfloat16 has none in numpy and is stored as two raw bytes. */
const DTYPES: Readonly<Record<string, FloatDtype>> = {
  "<f4": "F32",
  "<f2": "F16",
  "|V2": "BF16",
  "<V2": "BF16",
};

/** @throws InsulaError `weights/npy` naming `what`: object arrays, Fortran order and other types are refused. */
export function parseNpy(bytes: Uint8Array, what: string): NpyHeader {
  const fail = (problem: string) => new InsulaError("weights/npy", `${what}: ${problem}`);
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytes.length < 12 || magic.some((byte, i) => bytes[i] !== byte)) throw fail("not a .npy array");
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw fail(`.npy version ${version}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  const length = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (length > bytes.length) throw fail(`header of ${length} bytes`);
  const text = new TextDecoder("latin1").decode(bytes.subarray(start, length));
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const shapeText = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  const fortran = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  if (descr === undefined || shapeText === undefined || fortran === undefined)
    throw fail(`header not understood: ${text.trim().slice(0, 200)}`);
  const dtype = Object.hasOwn(DTYPES, descr) ? DTYPES[descr] : undefined;
  if (!dtype)
    throw new InsulaError("weights/dtype", `${what}: expected <f4, <f2 or |V2 (bfloat16), found ${descr}`);
  const shape = shapeText.split(",").flatMap((part) => (part.trim() === "" ? [] : [Number(part)]));
  if (fortran === "True" && shape.length > 1) throw fail("Fortran order, expected C order");
  if (!Number.isSafeInteger(sizeOf(shape) * 4)) throw fail(`shape [${shape.join(", ")}]`);
  return { dtype, shape, length };
}

/** The header of a float32 array, padded as numpy pads it. */
export function npyHeader(shape: readonly number[]): Uint8Array {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`;
  const padded = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
  const out = new Uint8Array(10 + padded.length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  out.set(new TextEncoder().encode(padded), 10);
  return out;
}

/** Bytes of the elements. */
export const npyDataLength = ({ dtype, shape }: NpyHeader): number => sizeOf(shape) * dtypeBytes(dtype);
