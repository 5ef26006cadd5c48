/**
 * @file zip archives read from their central directory, stored and deflated entries. Nothing is unpacked to a
 * disk; sizes are believed only as limits, and the checksum of everything that is read is compared.
 */
import { open, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { InsulaError } from "@insula/model-types";
import { type ByteRange, readRange, streamRange } from "../store/byte-range.js";
import { crc32 } from "../store/crc.js";

/** One file of an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly method: "stored" | "deflated";
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  /** Where its local header begins. */
  readonly offset: number;
}

const MAX_DIRECTORY = 1 << 26;
const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const FULL = 0xffffffff;

const broken = (path: string, problem: string) => new InsulaError("weights/zip", `${path}: ${problem}`);

/** The entries of the archive at `path`. @throws InsulaError `weights/zip` for what is not a sound archive. */
export async function readZip(path: string): Promise<ZipEntry[]> {
  const { size } = await stat(path);
  const { count, offset, length } = await findDirectory(path, size);
  if (length > MAX_DIRECTORY || offset + length > size)
    throw broken(path, "central directory outside the file");
  const bytes = await readRange({ path, offset, length }, MAX_DIRECTORY, path);
  const view = new DataView(bytes.buffer);
  const entries: ZipEntry[] = [];
  const names = new Set<string>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > length || view.getUint32(at, true) !== CENTRAL)
      throw broken(path, `entry ${i} is cut short`);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) =>
      view.getUint16(at + o, true),
    ) as [number, number, number];
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > length) throw broken(path, `entry ${i} is cut short`);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const wide = zip64(view, at, at + 46 + nameLength, extraLength, `${path}: ${name}`);
    const method = view.getUint16(at + 10, true);
    if (view.getUint16(at + 8, true) & 1) throw broken(path, `${name} is encrypted`);
    if (method !== 0 && method !== 8)
      throw broken(path, `${name}: compression method ${method}, expected 0 or 8`);
    if (name.startsWith("/") || name.includes("\\") || name.includes("\0") || name.split("/").includes(".."))
      throw broken(path, `'${name}' is not a plain name`);
    if (names.has(name)) throw broken(path, `two entries are named ${name}`);
    names.add(name);
    if (method === 0 && wide.size !== wide.compressedSize)
      throw broken(path, `${name}: stored, with two sizes`);
    if (wide.offset + 30 + wide.compressedSize > offset)
      throw broken(path, `${name} reaches into the directory`);
    entries.push({
      name,
      method: method === 0 ? "stored" : "deflated",
      crc: view.getUint32(at + 16, true),
      ...wide,
    });
    at = next;
  }
  let end = 0;
  for (const entry of entries.toSorted((a, b) => a.offset - b.offset)) {
    if (entry.offset < end) throw broken(path, `${entry.name} overlaps the entry before it`);
    end = entry.offset + 30 + entry.compressedSize;
  }
  return entries;
}

/** Sizes and offset of an entry, from the zip64 field where the short ones are full. */
function zip64(view: DataView, at: number, extra: number, length: number, what: string) {
  const sizes = {
    size: view.getUint32(at + 24, true),
    compressedSize: view.getUint32(at + 20, true),
    offset: view.getUint32(at + 42, true),
  };
  const wide = (["size", "compressedSize", "offset"] as const).filter((key) => sizes[key] === FULL);
  if (wide.length === 0) return sizes;
  for (let p = extra; p + 4 <= extra + length; ) {
    const end = p + 4 + view.getUint16(p + 2, true);
    if (end > extra + length) break;
    if (view.getUint16(p, true) === 1) {
      p += 4;
      for (const key of wide) {
        if (p + 8 > end) throw broken(what, "zip64 field is cut short");
        sizes[key] = Number(view.getBigUint64(p, true));
        if (!Number.isSafeInteger(sizes[key])) throw broken(what, `${key} of ${sizes[key]}`);
        p += 8;
      }
      return sizes;
    }
    p = end;
  }
  throw broken(what, "no zip64 field");
}

async function findDirectory(
  path: string,
  size: number,
): Promise<{ count: number; offset: number; length: number }> {
  const tailLength = Math.min(size, 22 + 0xffff);
  const tail = await readRange({ path, offset: size - tailLength, length: tailLength }, tailLength, path);
  const view = new DataView(tail.buffer);
  let at = tailLength - 22;
  while (at >= 0 && view.getUint32(at, true) !== END) at--;
  if (at < 0) throw broken(path, "not a zip archive, or cut short: no end of central directory");
  const short = {
    count: view.getUint16(at + 10, true),
    length: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  };
  if (short.count !== 0xffff && short.length !== FULL && short.offset !== FULL) return short;
  if (at < 20 || view.getUint32(at - 20, true) !== END64_LOCATOR) throw broken(path, "no zip64 locator");
  const where = Number(view.getBigUint64(at - 12, true));
  if (!(where + 56 <= size)) throw broken(path, "zip64 end record outside the file");
  const end = new DataView((await readRange({ path, offset: where, length: 56 }, 56, path)).buffer);
  if (end.getUint32(0, true) !== END64) throw broken(path, "no zip64 end record");
  const [count, length, offset] = [32, 40, 48].map((o) => Number(end.getBigUint64(o, true))) as [
    number,
    number,
    number,
  ];
  return { count, length, offset };
}

/** The bytes of an entry, decompressed; exactly `entry.size` of them, with the right checksum, or an error. */
export async function* streamEntry(path: string, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const range = await dataRange(path, entry);
  let done = 0;
  let crc = 0;
  for await (const part of entry.method === "stored" ? streamRange(range) : inflate(range, path, entry)) {
    done += part.length;
    if (done > entry.size) throw broken(path, `${entry.name} expands beyond its ${entry.size} bytes`);
    crc = crc32(part, crc);
    yield part;
  }
  if (done !== entry.size) throw broken(path, `${entry.name}: ${done} bytes, expected ${entry.size}`);
  if (crc !== entry.crc) throw broken(path, `${entry.name}: wrong checksum`);
}

/** Where the data lies: behind the local header, whose lengths may differ from the directory's. */
async function dataRange(path: string, { name, offset, compressedSize }: ZipEntry): Promise<ByteRange> {
  const file = await open(path, "r");
  try {
    const header = new Uint8Array(30);
    const { bytesRead } = await file.read(header, 0, 30, offset);
    const view = new DataView(header.buffer);
    if (bytesRead < 30 || view.getUint32(0, true) !== LOCAL) throw broken(path, `${name}: no local header`);
    const start = offset + 30 + view.getUint16(26, true) + view.getUint16(28, true);
    return { path, offset: start, length: compressedSize };
  } finally {
    await file.close();
  }
}

async function* inflate(range: ByteRange, path: string, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const input = Readable.from(streamRange(range), { objectMode: false });
  const output = createInflateRaw({ chunkSize: 1 << 18 });
  input.once("error", (error) => output.destroy(error));
  try {
    for await (const part of input.pipe(output)) yield part as Uint8Array;
  } catch (cause) {
    if (cause instanceof InsulaError) throw cause;
    throw new InsulaError("weights/zip", `${path}: ${entry.name}: not valid deflate data`, { cause });
  } finally {
    input.destroy();
    output.destroy();
  }
}
