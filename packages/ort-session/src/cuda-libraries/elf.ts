/**
 * @file The libraries that a shared library names as needed (DT_NEEDED), read from its file: what `readelf -d`
 * shows. Nothing is loaded, so no code of it runs.
 */
import { closeSync, openSync, readSync } from "node:fs";

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;

interface Segment {
  type: number;
  offset: number;
  address: number;
  size: number;
}

/** Names as the dynamic linker looks for them, in its order; none for a file that is no 64-bit ELF library. */
export function neededLibraries(path: string): string[] {
  const file = openSync(path, "r");
  try {
    const read = (offset: number, size: number): Buffer => {
      const buffer = Buffer.alloc(size);
      return buffer.subarray(0, readSync(file, buffer, 0, size, offset));
    };
    const header = read(0, 64);
    // ELFCLASS64, little-endian.
    if (header.length < 64 || header.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return [];
    const [entrySize, count] = [header.readUInt16LE(54), header.readUInt16LE(56)];
    const table = read(number(header, 32), entrySize * count);
    const segments = Array.from({ length: Math.floor(table.length / entrySize) }, (_, i): Segment => {
      const at = i * entrySize;
      return {
        type: table.readUInt32LE(at),
        offset: number(table, at + 8),
        address: number(table, at + 16),
        size: number(table, at + 32),
      };
    });
    const dynamic = segments.find((s) => s.type === PT_DYNAMIC);
    if (!dynamic) return [];
    const tags = read(dynamic.offset, dynamic.size);
    const needed: number[] = [];
    let strings = 0;
    let stringsSize = 0;
    for (let at = 0; at + 16 <= tags.length; at += 16) {
      const [tag, value] = [number(tags, at), number(tags, at + 8)];
      if (tag === DT_NEEDED) needed.push(value);
      if (tag === DT_STRTAB) strings = value;
      if (tag === DT_STRSZ) stringsSize = value;
    }
    const holds = (s: Segment) => s.type === PT_LOAD && strings >= s.address && strings < s.address + s.size;
    const segment = segments.find(holds);
    if (!segment) return [];
    const names = read(segment.offset + strings - segment.address, stringsSize);
    return needed.map((at) => names.toString("latin1", at, names.indexOf(0, at)));
  } finally {
    closeSync(file);
  }
}

/** Offsets and addresses in files of a few gigabytes are exact as numbers. */
const number = (buffer: Buffer, at: number): number => Number(buffer.readBigUInt64LE(at));
