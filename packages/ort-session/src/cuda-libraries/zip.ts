/**
 * @file Take files out of a zip archive (a wheel is one), as streams: members of half a gigabyte never lie in memory.
 * Only what wheels have: stored and deflated members, one part, no encryption, no zip64. (APPNOTE.TXT 4.3 for the
 * records.) Node inflates and the caller names the files, so a reader of two records needs no dependency; names in
 * the archive are compared, never used as paths.
 */
import { createWriteStream } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createInflateRaw } from "node:zlib";
import { InsulaError } from "@insula/model-types";

/** A member of an archive. */
export interface ZipEntry {
  name: string;
  /** 0 stored, 8 deflated. */
  method: number;
  crc: number;
  compressedSize: number;
  size: number;
  /** Of its local header, from the archive's start. */
  offset: number;
}

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_SIZE = 22;
const COMMENT_MAX = 0xffff;
const LOCAL_SIZE = 30;

/** List an archive's members. @throws InsulaError `cuda/wheel` when it is no archive that can be read here. */
export async function listZip(path: string): Promise<ZipEntry[]> {
  const handle = await open(path, "r");
  try {
    return await readDirectory(handle, path);
  } finally {
    await handle.close();
  }
}

async function readDirectory(handle: FileHandle, path: string): Promise<ZipEntry[]> {
  const { size: fileSize } = await handle.stat();
  const tail = await readAt(handle, path, Math.max(0, fileSize - END_SIZE - COMMENT_MAX), fileSize);
  let at = tail.length - END_SIZE;
  while (at >= 0 && tail.readUInt32LE(at) !== END) at--;
  if (at < 0) throw broken(path, "no end record; the file is cut off or no archive");
  const count = tail.readUInt16LE(at + 10);
  const directorySize = tail.readUInt32LE(at + 12);
  const directoryOffset = tail.readUInt32LE(at + 16);
  if (count === 0xffff || directoryOffset === 0xffffffff) throw broken(path, "zip64");
  const directoryEnd = directoryOffset + directorySize;
  const directory = await readAt(handle, path, directoryOffset, directoryEnd);
  const entries: ZipEntry[] = [];
  let p = 0;
  for (let i = 0; i < count; i++) {
    if (p + 46 > directory.length || directory.readUInt32LE(p) !== CENTRAL)
      throw broken(path, `entry ${i} of ${count} is no directory entry`);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) =>
      directory.readUInt16LE(p + o),
    ) as [number, number, number];
    const entry: ZipEntry = {
      name: directory.toString("utf8", p + 46, p + 46 + nameLength),
      method: directory.readUInt16LE(p + 10),
      crc: directory.readUInt32LE(p + 16),
      compressedSize: directory.readUInt32LE(p + 20),
      size: directory.readUInt32LE(p + 24),
      offset: directory.readUInt32LE(p + 42),
    };
    if (directory.readUInt16LE(p + 8) & 1) throw broken(path, `${entry.name} is encrypted`);
    if (entry.offset + entry.compressedSize > directoryOffset)
      throw broken(path, `${entry.name} lies outside`);
    entries.push(entry);
    p += 46 + nameLength + extraLength + commentLength;
  }
  return entries;
}

/**
 * Write one member of the archive at `path` to the file `to`.
 * @throws InsulaError `cuda/wheel` when its bytes are not what the directory says; `to` is gone then.
 */
export async function extract(path: string, entry: ZipEntry, to: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    const header = await readAt(handle, path, entry.offset, entry.offset + LOCAL_SIZE);
    if (header.readUInt32LE(0) !== LOCAL) throw broken(path, `${entry.name} has no local header`);
    const start = entry.offset + LOCAL_SIZE + header.readUInt16LE(26) + header.readUInt16LE(28);
    if (entry.method !== 0 && entry.method !== 8)
      throw broken(path, `${entry.name} is compressed by method ${entry.method}`);
    let size = 0;
    let crc = 0;
    const check = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        crc = crc32(chunk, crc);
        // A member that unpacks to more than it says is stopped, not written to the end of the disk.
        if (size > entry.size) done(broken(path, `${entry.name} holds more than its ${entry.size} bytes`));
        else done(null, chunk);
      },
    });
    const bytes =
      entry.compressedSize === 0
        ? []
        : handle.createReadStream({
            start,
            end: start + entry.compressedSize - 1,
            autoClose: false,
            highWaterMark: 1 << 20,
          });
    const out = createWriteStream(to);
    if (entry.method === 8) await pipeline(bytes, createInflateRaw(), check, out);
    else await pipeline(bytes, check, out);
    if (size !== entry.size) throw broken(path, `${entry.name}: expected ${entry.size} bytes, found ${size}`);
    if (crc !== entry.crc) throw broken(path, `${entry.name} has another checksum`);
  } catch (cause) {
    await rm(to, { force: true });
    if (cause instanceof InsulaError || !("code" in (cause as Error))) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw code?.startsWith("Z_") ? broken(path, `${entry.name}: ${message}`) : cause;
  } finally {
    await handle.close();
  }
}

async function readAt(handle: FileHandle, path: string, start: number, end: number): Promise<Buffer> {
  const { size } = await handle.stat();
  if (start < 0 || end < start || end > size) throw broken(path, "its records point outside of the file");
  const buffer = Buffer.alloc(end - start);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
  if (bytesRead < buffer.length) throw broken(path, "cut off");
  return buffer;
}

const broken = (path: string, what: string): InsulaError =>
  new InsulaError("cuda/wheel", `${path}: expected a wheel: ${what}`);
