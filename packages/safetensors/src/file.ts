/**
 * @file safetensors files on disk, tensor by tensor: nothing larger than one tensor is held in memory, so a
 * 13 GB checkpoint needs megabytes. Writing is beside, fsync, rename: a killed writer leaves the old file.
 */
import { type FileHandle, open, rename } from "node:fs/promises";
import { InsulaError, sizeOf } from "@insula/model-types";
import { storageOf } from "./dtype.js";
import {
  type FileTensor,
  type Header,
  MAX_HEADER_LENGTH,
  makeHeader,
  parseHeader,
  tensorFromBytes,
  type Writable,
} from "./format.js";

/** An open file: read any tensor by name, then close. */
export interface SafetensorsFile extends Header {
  readonly path: string;
  /** Read one tensor. @throws InsulaError `safetensors/missing` when the file has no tensor of that name. */
  read(name: string): Promise<FileTensor>;
  /**
   * Read elements `begin` to `end` (exclusive) of a tensor's row-major order, so that one larger than memory
   * can be read in parts. @throws InsulaError `safetensors/range` for elements that it does not have.
   */
  readElements(name: string, begin: number, end: number): Promise<FileTensor>;
  /** Close the file handle. Tensors already read stay valid: each owns its memory. */
  close(): Promise<void>;
}

/** Open `path`, parsing its header only. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const prefix = await readRange(handle, 0, Math.min(8, size));
    const length = size >= 8 ? Number(new DataView(prefix.buffer).getBigUint64(0, true)) : 0;
    const bytes =
      length > MAX_HEADER_LENGTH ? prefix : await readRange(handle, 0, Math.min(8 + length, size));
    const header = parseHeader(bytes, size, path);
    const find = (name: string) => {
      const info = header.tensors.get(name);
      if (!info) throw new InsulaError("safetensors/missing", `${path}: no tensor '${name}'`);
      return info;
    };
    return {
      ...header,
      path,
      async read(name) {
        const info = find(name);
        const [begin, end] = info.dataOffsets;
        return tensorFromBytes(info, await readRange(handle, header.dataStart + begin, end - begin));
      },
      async readElements(name, begin, end) {
        const info = find(name);
        if (!(begin >= 0 && begin <= end && end <= sizeOf(info.shape))) {
          throw new InsulaError(
            "safetensors/range",
            `${path}: ${name}: elements ${begin} to ${end} of ${sizeOf(info.shape)}`,
          );
        }
        const size = storageOf(info.dtype).BYTES_PER_ELEMENT;
        const at = header.dataStart + info.dataOffsets[0] + begin * size;
        const bytes = await readRange(handle, at, (end - begin) * size);
        return tensorFromBytes({ ...info, shape: [end - begin] }, bytes);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readRange(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const out = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(out, done, Math.min(length - done, 1 << 30), position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return out.subarray(0, done);
}

/** Read every tensor of `path`. */
export async function readSafetensors(path: string): Promise<Map<string, FileTensor>> {
  const file = await openSafetensors(path);
  try {
    const out = new Map<string, FileTensor>();
    for (const name of file.tensors.keys()) out.set(name, await file.read(name));
    return out;
  } finally {
    await file.close();
  }
}

/** Write `tensors` to `path` atomically. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, Writable]>,
  metadata?: Record<string, string>,
): Promise<void> {
  const { header, order } = makeHeader(tensors, metadata);
  const beside = `${path}.partial`;
  const handle = await open(beside, "w");
  try {
    await writeAll(handle, header);
    for (const { data } of order)
      await writeAll(handle, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, path);
}

export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 1 << 30));
    done += bytesWritten;
  }
}
