/** @file Parquet files made field by field, so that every number in them can lie. */

/** A value of Thrift's compact protocol. */
export type Thrift =
  | { i32: number | bigint }
  | { i64: number | bigint }
  | { text: string }
  | { list: Thrift[] /** Announce another length. */; length?: number }
  | { struct: Readonly<Record<number, Thrift>> };

export const i32 = (value: number | bigint): Thrift => ({ i32: value });
export const i64 = (value: number | bigint): Thrift => ({ i64: value });
export const text = (value: string): Thrift => ({ text: value });
export const list = (...items: Thrift[]): Thrift => ({ list: items });
export const struct = (fields: Readonly<Record<number, Thrift>>): Thrift => ({ struct: fields });

export function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let left = BigInt(value);
  do {
    bytes.push(Number(left & 127n) | (left > 127n ? 128 : 0));
    left >>= 7n;
  } while (left > 0n);
  return bytes;
}

const zigzag = (value: number | bigint): bigint => (BigInt(value) << 1n) ^ (BigInt(value) >> 63n);

function typeOf(value: Thrift): number {
  return "i32" in value ? 5 : "i64" in value ? 6 : "text" in value ? 8 : "list" in value ? 9 : 12;
}

/** The bytes of a value. */
export function encode(value: Thrift): number[] {
  if ("i32" in value) return varint(zigzag(value.i32));
  if ("i64" in value) return varint(zigzag(value.i64));
  if ("text" in value) return [...varint(value.text.length), ...Buffer.from(value.text)];
  if ("list" in value) {
    const type = value.list.length > 0 ? typeOf(value.list[0]!) : 12;
    return [0xf0 | type, ...varint(value.length ?? value.list.length), ...value.list.flatMap(encode)];
  }
  const fields = Object.entries(value.struct).flatMap(([id, field]) => [
    typeOf(field),
    ...varint(zigzag(Number(id))),
    ...encode(field),
  ]);
  return [...fields, 0];
}

/** A file of `body` and a footer. */
export function parquetBytes(body: readonly number[], footer: Thrift, footerLength?: number): Buffer {
  const bytes = encode(footer);
  const tail = Buffer.alloc(8, "PAR1");
  tail.writeUInt32LE(footerLength ?? bytes.length);
  return Buffer.concat([Buffer.from("PAR1"), Buffer.from(body), Buffer.from(bytes), tail]);
}

/** What one column `x` of INT64 says of itself; the body begins at byte 4. */
export interface OneColumn {
  rows?: number | bigint;
  groupRows?: number | bigint;
  /** How many row groups name the same pages. */
  groups?: number;
  values?: number | bigint;
  codec?: number;
  size?: number;
  offset?: number | bigint;
  required?: boolean;
  type?: number;
  pages?: number[];
  schema?: Thrift;
}

export function oneColumn(column: OneColumn): Buffer {
  const { rows = 4, pages = [], codec = 0, type = 2 } = column;
  const leaf = struct({ 1: i32(type), 3: i32(column.required === false ? 1 : 0), 4: text("x") });
  const chunk = struct({
    2: i64(0),
    3: struct({
      1: i32(type),
      2: list(i32(0)),
      3: list(text("x")),
      4: i32(codec),
      5: i64(column.values ?? rows),
      6: i64(pages.length),
      7: i64(column.size ?? pages.length),
      9: i64(column.offset ?? 4),
    }),
  });
  const group = struct({ 1: list(chunk), 2: i64(pages.length), 3: i64(column.groupRows ?? rows) });
  const footer = struct({
    1: i32(2),
    2: column.schema ?? list(struct({ 4: text("root"), 5: i32(1) }), leaf),
    3: i64(rows),
    4: list(...Array.from({ length: column.groups ?? 1 }, () => group)),
  });
  return parquetBytes(pages, footer);
}

/** A data page (v1) of `count` values. */
export function dataPage(
  count: number,
  encoding: number,
  bytes: readonly number[],
  raw = bytes.length,
): number[] {
  const info = struct({ 1: i32(count), 2: i32(encoding), 3: i32(3), 4: i32(3) });
  return [...encode(struct({ 1: i32(0), 2: i32(raw), 3: i32(bytes.length), 5: info })), ...bytes];
}

/** A data page (v2) without levels. */
export function dataPageV2(count: number, encoding: number, bytes: readonly number[]): number[] {
  const info = struct({ 1: i32(count), 2: i32(0), 3: i32(count), 4: i32(encoding), 5: i32(0), 6: i32(0) });
  return [...encode(struct({ 1: i32(3), 2: i32(bytes.length), 3: i32(bytes.length), 8: info })), ...bytes];
}

export function dictionaryPage(count: number, bytes: readonly number[], raw = bytes.length): number[] {
  const info = struct({ 1: i32(count), 2: i32(0) });
  return [...encode(struct({ 1: i32(2), 2: i32(raw), 3: i32(bytes.length), 7: info })), ...bytes];
}
