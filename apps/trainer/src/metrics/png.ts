/** @file RGB pixels as a PNG file (ISO/IEC 15948): one IDAT chunk, each row with the filter that suits it best. */
import { crc32, deflateSync } from "node:zlib";

/** `[height, width, 3]` */
export interface Pixels {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** Encode. */
export function encodePng({ width, height, rgb }: Pixels): Uint8Array {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits per channel
  header.setUint8(9, 2); // RGB
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", deflateSync(filtered(rgb, 3 * width, height), { level: 6 })),
    chunk("IEND", new Uint8Array()),
  ]);
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

function chunk(type: string, payload: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, "latin1"), payload]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(payload.length, 0);
  out.set(body, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** Filters by number: the byte itself, less the one to the left, less the one above, less Paeth's guess. */
const FILTERS = { left: 1, up: 2, paeth: 4 } as const;

/**
 * Rows behind their filter's number. A row like the one above is all zeros under `up`, as most of a chart is; of the
 * others the one with the smallest sum of differences compresses best, as a rule.
 */
function filtered(rgb: Uint8Array, stride: number, height: number): Uint8Array {
  const out = new Uint8Array((stride + 1) * height);
  const tried = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const row = rgb.subarray(y * stride, (y + 1) * stride);
    const above = y > 0 ? rgb.subarray((y - 1) * stride, y * stride) : new Uint8Array(stride);
    const to = out.subarray(y * (stride + 1), (y + 1) * (stride + 1));
    let least = Number.POSITIVE_INFINITY;
    for (const filter of [FILTERS.up, FILTERS.left, FILTERS.paeth]) {
      const cost = difference(filter, row, above, tried);
      if (cost >= least) continue;
      least = cost;
      to[0] = filter;
      to.set(tried, 1);
      if (cost === 0) break;
    }
  }
  return out;
}

/** Fill `to` with what the filter leaves of a row; the sum of its sizes. */
function difference(filter: number, row: Uint8Array, above: Uint8Array, to: Uint8Array): number {
  let cost = 0;
  for (let x = 0; x < row.length; x++) {
    const left = x < 3 ? 0 : row[x - 3]!;
    const up = above[x]!;
    const guess =
      filter === FILTERS.up
        ? up
        : filter === FILTERS.left
          ? left
          : paeth(left, up, x < 3 ? 0 : above[x - 3]!);
    const missed = (row[x]! - guess) & 255;
    to[x] = missed;
    cost += missed < 128 ? missed : 256 - missed;
  }
  return cost;
}

function paeth(left: number, up: number, corner: number): number {
  const a = Math.abs(up - corner);
  const b = Math.abs(left - corner);
  const c = Math.abs(left + up - 2 * corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
