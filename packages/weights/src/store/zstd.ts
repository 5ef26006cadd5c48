/**
 * @file zstd frames, decompressed as a stream: what a frame expands to never has to fit memory, and no more
 * than the expected length is ever produced.
 */
import { InsulaError } from "@insula/model-types";
import { Decompress } from "fzstd";
import { type ByteRange, rangeLength, streamRange } from "./byte-range.js";

/** Windows larger than the reference decoder's own default limit are refused: they are memory for nothing. */
const MAX_WINDOW = 1 << 27;
/**
 * Bytes pushed at a time. A block of four bytes can stand for 128 KB, so that one push gives 64 MB at most.
 */
const PUSH = 1 << 11;
/** Longest header of a frame: magic, flags, window or not, dictionary, length. */
const HEAD = 18;

/**
 * The bytes that a range expands to.
 * @throws InsulaError `weights/zstd` naming `what` for broken data, or for more or fewer than `length` bytes.
 */
export async function* streamZstd(
  range: ByteRange,
  length: number,
  what: string,
): AsyncGenerator<Uint8Array> {
  let made = 0;
  for await (const part of expand(range, length, what)) {
    made += part.length;
    yield part;
  }
  if (made !== length) throw fail(what, `expands to ${made} bytes, expected ${length}`);
}

/** A whole small expansion, of at most `limit` bytes. */
export async function readZstd(range: ByteRange, limit: number, what: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of expand(range, limit, what)) parts.push(part);
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

async function* expand(range: ByteRange, limit: number, what: string): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  let made = 0;
  const decoder = new Decompress((data) => {
    made += data.length;
    if (made > limit) throw fail(what, `expands to more than the ${limit} bytes expected`);
    if (data.length > 0) ready.push(data);
  });
  const push = (bytes: Uint8Array, final: boolean) => {
    try {
      decoder.push(bytes, final);
    } catch (cause) {
      if (cause instanceof InsulaError) throw cause;
      throw fail(what, `not valid zstd (${(cause as Error).message})`, cause);
    }
  };
  let head: number[] | undefined = [];
  for await (const step of streamRange(range)) {
    if (head) {
      head.push(...step.subarray(0, HEAD - head.length));
      if (head.length >= Math.min(HEAD, rangeLength(range))) {
        if (windowOf(head) > MAX_WINDOW) throw fail(what, `asks for a window of ${windowOf(head)} bytes`);
        head = undefined;
      }
    }
    for (let at = 0; at < step.length; at += PUSH) {
      push(step.subarray(at, at + PUSH), false);
      yield* ready;
      ready = [];
    }
  }
  push(new Uint8Array(0), true);
  yield* ready;
}

/**
 * The window that a frame's header asks for (RFC 8878, 3.1.1.1). A frame that is its own window states its
 * length instead.
 */
function windowOf(head: readonly number[]): number {
  const flags = head[4]!;
  if (flags & 0x20) {
    const at = 5 + [0, 1, 2, 4][flags & 3]!;
    const bytes = head.slice(at, at + (1 << (flags >> 6)));
    return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  }
  const base = 2 ** (10 + (head[5]! >> 3));
  return base + (base / 8) * (head[5]! & 7);
}

const fail = (what: string, problem: string, cause?: unknown) =>
  new InsulaError("weights/zstd", `${what}: ${problem}`, { cause });
