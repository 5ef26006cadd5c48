/**
 * @file Decompression with a limit: a page becomes as many bytes as its header says, or an error. Snappy, LZ4 and
 * zstd through hyparquet-compressors, gzip and Brotli through Node's zlib, which stops at a given length.
 */
import { brotliDecompressSync, unzipSync } from "node:zlib";
import { compressors as hyparquetCompressors } from "hyparquet-compressors";
import { checkZstd } from "./zstd.js";

type Codec = (input: Uint8Array, length: number) => Uint8Array;

/** By the names of parquet's codecs; each gives `length` bytes or throws. */
export const CODECS: Readonly<Record<string, Codec>> = {
  UNCOMPRESSED: (input) => input,
  SNAPPY(input, length) {
    expectLength("Snappy", snappyLength(input), length);
    return hyparquetCompressors.SNAPPY!(input, length);
  },
  ZSTD(input, length) {
    checkZstd(input, length);
    return exactly(hyparquetCompressors.ZSTD!(input, length), length);
  },
  GZIP: (input, length) => exactly(unzipSync(input, { maxOutputLength: Math.max(1, length) }), length),
  BROTLI: (input, length) =>
    exactly(brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }), length),
  LZ4: (input, length) => hyparquetCompressors.LZ4!(input, length),
  LZ4_RAW: (input, length) => hyparquetCompressors.LZ4_RAW!(input, length),
};

function exactly({ buffer, byteOffset, length: found }: Uint8Array, length: number): Uint8Array {
  expectLength("data", found, length);
  return new Uint8Array(buffer, byteOffset, found);
}

function expectLength(what: string, found: number, length: number): void {
  if (found !== length) throw new Error(`${what} of ${found} bytes in a page of ${length}`);
}

/** The length that a Snappy block begins with. */
function snappyLength(input: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = input[i] ?? 0;
    length += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return length;
  }
  return Number.NaN;
}
