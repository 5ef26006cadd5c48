/**
 * @file PNG encoding of palette pictures as 8-bit RGB: LeRobot's loader takes an image's channels as they
 * are stored, so a palette PNG would be read as one channel. Rows are not filtered: deflate finds the
 * repeated runs of flat surfaces best as they are.
 */
import { promisify } from "node:util";
import { crc32, deflate } from "node:zlib";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const TRUECOLOR = 2;
const FILTER_NONE = 0;
const LEVEL = 5; // 3.7 kB a picture; 6 saves a sixth of that for twice the time
const PIXEL = 3; // bytes
const compress = promisify(deflate);

/** Encodes pictures of one size and palette; compression runs on libuv's thread pool. */
export interface PngEncoder {
  /**
   * Resolves once `index` `[height, width]` (entries of the palette) has been taken over and may be
   * overwritten; `done` then resolves with the file's bytes. At most `inFlight` pictures wait at once.
   */
  encode(index: Uint8Array): Promise<{ done: Promise<Uint8Array> }>;
}

/** @param palette `[n, 3]` sRGB bytes. */
export function makePngEncoder(palette: Uint8Array, width: number, height: number, inFlight = 4): PngEncoder {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, TRUECOLOR, 0, 0, 0], 8); // bit depth, colour type, deflate, adaptive filters, no interlace
  const head = Buffer.concat([Buffer.from(SIGNATURE), chunk("IHDR", header)]);
  const tail = chunk("IEND", Buffer.alloc(0));
  const colors = Uint32Array.from(
    { length: palette.length / PIXEL },
    (_, i) => (palette[PIXEL * i]! << 24) | (palette[PIXEL * i + 1]! << 16) | (palette[PIXEL * i + 2]! << 8),
  );

  const stride = 1 + PIXEL * width; // filter type and pixels
  const size = height * stride;
  const free: Uint8Array[] = Array.from({ length: inFlight }, () => new Uint8Array(size + 1)); // one spare byte: see writeScanlines
  const busy = new Set<Promise<unknown>>();
  return {
    async encode(index) {
      while (free.length === 0) await Promise.race(busy);
      const lines = free.pop()!;
      writeScanlines(lines, index, colors, width, height);
      const done = compress(lines.subarray(0, size), { level: LEVEL })
        .then((data) => Buffer.concat([head, chunk("IDAT", data), tail]))
        .finally(() => {
          free.push(lines);
          busy.delete(done);
        });
      busy.add(done);
      return { done };
    },
  };
}

/**
 * Unfiltered scanlines, `[height, 1 + 3 · width]`, into `out`. `colors` are RGB0, big-endian: one 4-byte store per
 * pixel, whose last byte the next store (or the next row's filter type, 0) overwrites, is thrice as fast as three.
 */
function writeScanlines(
  out: Uint8Array,
  index: Uint8Array,
  colors: Uint32Array,
  width: number,
  height: number,
): void {
  const view = new DataView(out.buffer, out.byteOffset);
  let to = 0;
  let from = 0;
  for (let y = 0; y < height; y++) {
    out[to++] = FILTER_NONE;
    for (let x = 0; x < width; x++, to += PIXEL) view.setUint32(to, colors[index[from++]!]!);
  }
}

function chunk(type: string, data: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, "latin1");
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}
