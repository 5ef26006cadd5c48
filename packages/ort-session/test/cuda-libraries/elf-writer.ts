/** @file Headers of a shared library that names others as needed: enough to be read, not to be loaded. */

/** A 64-bit little-endian ELF file with these DT_NEEDED names. */
export function elf(needed: readonly string[]): Buffer {
  const strings = Buffer.from(`\0${needed.map((name) => `${name}\0`).join("")}`);
  const address = 0x1000;
  const stringsAt = 64 + 2 * 56;
  const dynamicAt = stringsAt + strings.length;
  const tags: [number, number][] = [];
  let at = 1;
  for (const name of needed) {
    tags.push([1, at]);
    at += name.length + 1;
  }
  tags.push([5, address + stringsAt], [10, strings.length], [0, 0]);
  const dynamic = Buffer.alloc(16 * tags.length);
  tags.forEach(([tag, value], i) => {
    dynamic.writeBigUInt64LE(BigInt(tag), 16 * i);
    dynamic.writeBigUInt64LE(BigInt(value), 16 * i + 8);
  });
  const total = dynamicAt + dynamic.length;
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01\x01", 0, "latin1");
  header.writeBigUInt64LE(64n, 32); // program headers
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(2, 56);
  const segment = (type: number, offset: number, size: number) => {
    const entry = Buffer.alloc(56);
    entry.writeUInt32LE(type, 0);
    [offset, address + offset, address + offset, size, size].forEach((value, i) => {
      entry.writeBigUInt64LE(BigInt(value), 8 + 8 * i);
    });
    return entry;
  };
  return Buffer.concat([
    header,
    segment(1, 0, total),
    segment(2, dynamicAt, dynamic.length),
    strings,
    dynamic,
  ]);
}
