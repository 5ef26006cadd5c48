/**
 * @file What a zstd stream will decompress to, from its headers alone: fzstd makes the buffers that they ask for.
 */

/** Blocks hold 128 KiB, all but a frame's last; streams may flush a little earlier. */
const SMALL_BLOCK = 1 << 15;
/** The largest window that decoders are asked to support without being told, times 16. */
const MAX_WINDOW = 1 << 27;

/** @throws Error unless the frames of `input` can become `length` bytes with buffers of that order. */
export function checkZstd(input: Uint8Array, length: number): void {
  const little = (at: number, bytes: number): number => {
    let value = 0;
    for (let i = 0; i < bytes; i++) value += (input[at + i] ?? 0) * 2 ** (8 * i);
    return value;
  };
  let announced = 0;
  let blocks = 0;
  for (let at = 0; at < input.length; ) {
    const magic = little(at, 4);
    if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) {
      at += 8 + little(at + 4, 4);
      continue;
    }
    if (magic !== 0xfd2fb528) throw new Error("not a zstd frame");
    const flags = input[at + 4] ?? 0;
    const single = (flags & 0x20) !== 0;
    const sizeBytes = [single ? 1 : 0, 2, 4, 8][flags >> 6]!;
    const exponent = single ? 0 : (input[at + 5] ?? 0) >> 3;
    const dictionaryBytes = [0, 1, 2, 4][flags & 3]!;
    at += 5 + (single ? 0 : 1) + dictionaryBytes;
    announced += little(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
    at += sizeBytes;
    if (announced > length || (sizeBytes === 0 && 2 ** (10 + exponent) > MAX_WINDOW)) {
      throw new Error(`a zstd frame of ${announced || 2 ** (10 + exponent)} bytes in a page of ${length}`);
    }
    for (let last = false; !last; ) {
      if (at + 3 > input.length) throw new Error("a zstd frame is cut short");
      const head = little(at, 3);
      last = (head & 1) === 1;
      const size = head >> 3;
      at += 3 + ((head >> 1) % 4 === 1 ? 1 : size); // A run is one byte, repeated.
      if (size > 1 << 17 || ++blocks > 4 + length / SMALL_BLOCK) {
        throw new Error(`a zstd stream of more than ${blocks} blocks in a page of ${length} bytes`);
      }
    }
    if ((flags & 4) !== 0) at += 4;
  }
}
