/** @file A stretch of bytes, in a file or in memory, that is read when it is needed. */
import { open } from "node:fs/promises";
import { InsulaError } from "@insula/model-types";

/** Bytes of a file, or bytes already here. */
export type ByteRange =
  | { readonly path: string; readonly offset: number; readonly length: number }
  | { readonly bytes: Uint8Array };

/** Bytes read at once. */
const STEP = 1 << 20;

export const rangeLength = (range: ByteRange): number =>
  "bytes" in range ? range.bytes.length : range.length;

/** A part of a range. @throws InsulaError `weights/range` when it does not lie inside. */
export function subRange(range: ByteRange, offset: number, length: number, what: string): ByteRange {
  if (!(offset >= 0 && length >= 0 && offset + length <= rangeLength(range))) {
    throw new InsulaError(
      "weights/range",
      `${what}: bytes ${offset} to ${offset + length} of ${rangeLength(range)}`,
    );
  }
  return "bytes" in range
    ? { bytes: range.bytes.subarray(offset, offset + length) }
    : { path: range.path, offset: range.offset + offset, length };
}

/** The bytes in steps of a megabyte. @throws InsulaError `weights/truncated` when the file ends before. */
export async function* streamRange(range: ByteRange): AsyncGenerator<Uint8Array> {
  if ("bytes" in range) {
    yield range.bytes;
    return;
  }
  const file = await open(range.path, "r");
  try {
    for (let done = 0; done < range.length; ) {
      const step = new Uint8Array(Math.min(STEP, range.length - done));
      const { bytesRead } = await file.read(step, 0, step.length, range.offset + done);
      if (bytesRead === 0) {
        throw new InsulaError(
          "weights/truncated",
          `${range.path}: ends at byte ${range.offset + done}, expected ${range.offset + range.length}`,
        );
      }
      yield step.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** All bytes of a range that is known to be small. @throws InsulaError `weights/range` for more than `limit`. */
export async function readRange(range: ByteRange, limit: number, what: string): Promise<Uint8Array> {
  const length = rangeLength(range);
  if (length > limit)
    throw new InsulaError("weights/range", `${what}: ${length} bytes, at most ${limit} expected`);
  const out = new Uint8Array(length);
  let at = 0;
  for await (const step of streamRange(range)) {
    out.set(step, at);
    at += step.length;
  }
  return out;
}
