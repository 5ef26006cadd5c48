/**
 * @file Writing a `.npz` of float32 arrays that are never whole in memory: stored entries with zip64 sizes,
 * as numpy writes them. The checksum goes into the local header once the data is written.
 */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { InsulaError, sizeOf } from "@insula/model-types";
import type { StreamedTensor } from "@insula/safetensors";
import { crc32 } from "../store/crc.js";
import { npyHeader } from "./npy.js";

interface Written {
  name: Uint8Array;
  crc: number;
  size: number;
  offset: number;
}

/** Write beside, sync, rename. @throws InsulaError `weights/stream` when an array gives too few or too many elements. */
export async function writeNpz(path: string, arrays: Iterable<StreamedTensor>): Promise<void> {
  const beside = `${path}.partial`;
  const file = await open(beside, "w");
  try {
    const written: Written[] = [];
    let at = 0;
    for (const array of arrays) {
      const entry = await writeEntry(file, at, array, path);
      written.push(entry);
      at = entry.offset + localHeader(entry).length + entry.size;
    }
    const directory = Buffer.concat(written.map(centralHeader));
    await writeAt(file, Buffer.concat([directory, endRecords(written.length, at, directory.length)]), at);
    await file.sync();
    await file.close();
    await rename(beside, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(beside, { force: true });
    throw error;
  }
}

async function writeEntry(
  file: FileHandle,
  offset: number,
  array: StreamedTensor,
  path: string,
): Promise<Written> {
  const head = npyHeader(array.shape);
  const entry: Written = {
    name: new TextEncoder().encode(`${array.name}.npy`),
    crc: crc32(head),
    size: head.length + 4 * sizeOf(array.shape),
    offset,
  };
  const start = offset + localHeader(entry).length;
  await writeAt(file, head, start);
  let done = head.length;
  for await (const { buffer, byteOffset, byteLength } of array.chunks()) {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    entry.crc = crc32(bytes, entry.crc);
    if (done + byteLength <= entry.size) await writeAt(file, bytes, start + done);
    done += byteLength;
  }
  if (done !== entry.size) {
    throw new InsulaError(
      "weights/stream",
      `${path}: ${array.name}: ${done} bytes given, ${entry.size} needed`,
    );
  }
  await writeAt(file, localHeader(entry), offset);
  return entry;
}

/** Local header with both sizes in a zip64 field. */
function localHeader({ name, crc, size }: Written): Uint8Array {
  const out = Buffer.alloc(30 + name.length + 20);
  out.writeUInt32LE(0x04034b50, 0);
  out.writeUInt16LE(45, 4);
  out.writeUInt16LE(0x21, 12); // 1980-01-01: the same arrays give the same bytes
  out.writeUInt32LE(crc, 14);
  out.writeUInt32LE(0xffffffff, 18);
  out.writeUInt32LE(0xffffffff, 22);
  out.writeUInt16LE(name.length, 26);
  out.writeUInt16LE(20, 28);
  out.set(name, 30);
  const extra = 30 + name.length;
  out.writeUInt16LE(1, extra);
  out.writeUInt16LE(16, extra + 2);
  out.writeBigUInt64LE(BigInt(size), extra + 4);
  out.writeBigUInt64LE(BigInt(size), extra + 12);
  return out;
}

function centralHeader({ name, crc, size, offset }: Written): Uint8Array {
  const out = Buffer.alloc(46 + name.length + 28);
  out.writeUInt32LE(0x02014b50, 0);
  out.writeUInt16LE(45, 4);
  out.writeUInt16LE(45, 6);
  out.writeUInt16LE(0x21, 14);
  out.writeUInt32LE(crc, 16);
  out.writeUInt32LE(0xffffffff, 20);
  out.writeUInt32LE(0xffffffff, 24);
  out.writeUInt16LE(name.length, 28);
  out.writeUInt16LE(28, 30);
  out.writeUInt32LE(0xffffffff, 42);
  out.set(name, 46);
  const extra = 46 + name.length;
  out.writeUInt16LE(1, extra);
  out.writeUInt16LE(24, extra + 2);
  for (const [i, value] of [size, size, offset].entries())
    out.writeBigUInt64LE(BigInt(value), extra + 4 + 8 * i);
  return out;
}

/** zip64 end record, its locator, and the end record. */
function endRecords(count: number, offset: number, length: number): Uint8Array {
  const out = Buffer.alloc(56 + 20 + 22);
  out.writeUInt32LE(0x06064b50, 0);
  out.writeBigUInt64LE(44n, 4);
  out.writeUInt16LE(45, 12);
  out.writeUInt16LE(45, 14);
  for (const [i, value] of [count, count, length, offset].entries())
    out.writeBigUInt64LE(BigInt(value), 24 + 8 * i);
  out.writeUInt32LE(0x07064b50, 56);
  out.writeBigUInt64LE(BigInt(offset + length), 64);
  out.writeUInt32LE(1, 72);
  out.writeUInt32LE(0x06054b50, 76);
  out.writeUInt16LE(Math.min(count, 0xffff), 84);
  out.writeUInt16LE(Math.min(count, 0xffff), 86);
  out.writeUInt32LE(Math.min(length, 0xffffffff), 88);
  out.writeUInt32LE(0xffffffff, 92);
  return out;
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
