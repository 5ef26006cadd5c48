/**
 * @file Frames stored in parquet: `struct<bytes, path>` cells of PNG or JPEG bytes. A file with a page index
 * (as this package writes) is read page by page; else the encoded bytes of a row group are read at once and
 * kept, up to a limit. Decoded pixels are never kept.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import sharp from "sharp";
import { type ByteCache, createByteCache } from "../byte-cache.js";
import { createPool } from "../pool.js";
import { openParquet, type ParquetFile } from "./parquet.js";

export interface ImageStore {
  /** The pixels of one cell: uint8 `[height, width, 3]`. */
  pixels(path: string, column: string, row: number): Promise<NdArray<Uint8Array>>;
  close(): Promise<void>;
}

/** Open parquet files: a footer and a file handle each. */
const OPEN_FILES = 32;

/** PNG and JPEG. */
const MAGIC = [
  [0x89, 0x50, 0x4e, 0x47],
  [0xff, 0xd8, 0xff],
] as const;
const MAX_PIXELS = 1 << 25;

/** A store that keeps at most `cacheBytes` of encoded images. */
export function imageStore(cacheBytes: number): ImageStore {
  const cache: ByteCache<Promise<(Uint8Array | null)[]>> = createByteCache(cacheBytes);
  const files = createPool<ParquetFile>({
    limit: OPEN_FILES,
    open: openParquet,
    close: (file) => file.close(),
  });
  /** Row groups being read now, so that samples of one batch share the read. */
  const reading = new Map<string, Promise<(Uint8Array | null)[]>>();

  const encoded = (path: string, column: string, row: number): Promise<Uint8Array | null> =>
    files.use(path, async (file) => {
      if (!file.columns.includes(column)) {
        throw new InsulaError(
          "dataset/missing-key",
          `${path}: no column '${column}' (${file.columns.join(", ")})`,
        );
      }
      if (file.hasPageIndex(column)) return (await readCells(file, column, row, row + 1))[0] ?? null;
      const group = file.groups.findLastIndex((first) => first <= row);
      const first = file.groups[group]!;
      const key = `${path}#${column}#${group}`;
      const held = cache.get(key) ?? reading.get(key);
      if (held) return (await held)[row - first] ?? null;
      const read = readCells(file, column, first, file.groups[group + 1]!);
      reading.set(key, read);
      try {
        const cells = await read;
        cache.set(
          key,
          read,
          cells.reduce((sum, c) => sum + (c?.length ?? 0), 0),
        );
        return cells[row - first] ?? null;
      } finally {
        reading.delete(key);
      }
    });
  return {
    async pixels(path, column, row) {
      const bytes = await encoded(path, column, row);
      return decodeImage(bytes, `${path}: ${column}, row ${row}`);
    },
    async close() {
      cache.clear();
      await files.close();
    },
  };
}

async function readCells(
  file: ParquetFile,
  column: string,
  begin: number,
  end: number,
): Promise<(Uint8Array | null)[]> {
  const cells = new Array<Uint8Array | null>(end - begin).fill(null);
  await file.read([column], begin, end, (_, values, firstRow) => {
    for (let i = 0; i < values.length; i++) {
      const at = firstRow + i - begin;
      if (at < 0 || at >= cells.length) continue;
      const bytes = (values[i] as { bytes?: unknown } | null)?.bytes;
      // A copy: the page's buffer would otherwise live as long as any image cut from it.
      if (bytes instanceof Uint8Array) cells[at] = bytes.slice();
    }
  });
  return cells;
}

/** Decode PNG or JPEG bytes to RGB. @throws InsulaError `dataset/image` naming `where`. */
export async function decodeImage(bytes: Uint8Array | null, where: string): Promise<NdArray<Uint8Array>> {
  if (!bytes) throw new InsulaError("dataset/image", `${where}: no image bytes in this cell`);
  // Other formats, SVG among them, are no camera's; and a picture is decoded only if it is of a camera's size.
  const known = MAGIC.some((magic) => magic.every((byte, i) => bytes[i] === byte));
  const { data, info } = await sharp(known ? bytes : new Uint8Array(1), { limitInputPixels: MAX_PIXELS })
    .toColourspace("srgb")
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw new InsulaError("dataset/image", `${where}: ${bytes.length} bytes are not a PNG or JPEG image`, {
        cause,
      });
    });
  return {
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    shape: [info.height, info.width, info.channels],
  };
}
