/** @file CRC-32 (zip) and CRC-32C (OCDBT, zarr v3), table-driven. Node's own starts with version 22. */

type Tables = readonly Uint32Array[];

/** Eight tables for a reflected polynomial: eight bytes per step. */
function makeTables(polynomial: number): Tables {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    tables[0]![i] = c;
  }
  for (let t = 1; t < 8; t++) {
    for (let i = 0; i < 256; i++) {
      const c = tables[t - 1]![i]!;
      tables[t]![i] = (c >>> 8) ^ tables[0]![c & 255]!;
    }
  }
  return tables;
}

function update([t0, t1, t2, t3, t4, t5, t6, t7]: Tables, bytes: Uint8Array, crc: number): number {
  let c = ~crc;
  let i = 0;
  for (; i + 8 <= bytes.length; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c =
      t7![c & 255]! ^
      t6![(c >>> 8) & 255]! ^
      t5![(c >>> 16) & 255]! ^
      t4![c >>> 24]! ^
      t3![bytes[i + 4]!]! ^
      t2![bytes[i + 5]!]! ^
      t1![bytes[i + 6]!]! ^
      t0![bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) c = (c >>> 8) ^ t0![(c ^ bytes[i]!) & 255]!;
  return ~c >>> 0;
}

const IEEE = makeTables(0xedb88320);
const CASTAGNOLI = makeTables(0x82f63b78);

/** CRC-32 of zip; give the sum so far to continue. */
export const crc32 = (bytes: Uint8Array, crc = 0): number => update(IEEE, bytes, crc);

/** CRC-32C. */
export const crc32c = (bytes: Uint8Array, crc = 0): number => update(CASTAGNOLI, bytes, crc);
