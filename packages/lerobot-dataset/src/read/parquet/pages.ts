/**
 * @file The pages of a column, checked before hyparquet decodes them: sizes against the bytes there are, counts
 * against the footer, runs against counts. A page that passes decodes in memory of the order of what it declares.
 */
import { CODECS } from "./codecs.js";
import type { ColumnChunk } from "./footer.js";
import { checkDeltas, checkRuns } from "./runs.js";
import { type Cursor, readByte, readStruct, type ThriftStruct } from "./thrift.js";

/** No writer makes pages of more; Arrow's have 1 MiB, an image more than that has one of its own. */
const MAX_PAGE_BYTES = 1 << 28;

const DATA_PAGE = 0;
const DICTIONARY_PAGE = 2;
const DATA_PAGE_V2 = 3;
const PLAIN = 0;
const PLAIN_DICTIONARY = 2;
const RLE = 3;
const DELTA_BINARY_PACKED = 5;
const DELTA_LENGTH_BYTE_ARRAY = 6;
const RLE_DICTIONARY = 8;
const BYTE_STREAM_SPLIT = 9;

/** Decompressed bytes that a read may still make. */
export interface Budget {
  left: number;
}

/**
 * Check the pages in `bytes`, a run of whole pages of `chunk`.
 * @throws Error naming what a page declares and what there is.
 */
export function checkPages(bytes: Uint8Array, chunk: ColumnChunk, budget: Budget): void {
  const cursor: Cursor = { bytes, at: 0, end: bytes.length };
  let values = 0;
  while (cursor.at < cursor.end) {
    const header = readStruct(cursor);
    const [type, raw, packed] = [header[1], whole(header[2], "page size"), whole(header[3], "page size")];
    if (packed > cursor.end - cursor.at) throw new Error(`a page of ${packed} bytes is cut short`);
    if (raw > MAX_PAGE_BYTES) throw new Error(`a page of ${raw} bytes`);
    budget.left -= raw;
    if (budget.left < 0) throw new Error("decompresses to far more than it holds");
    const page = bytes.subarray(cursor.at, cursor.at + packed);
    cursor.at += packed;
    if (type === DICTIONARY_PAGE) {
      const count = whole(struct(header[7])[1], "dictionary size");
      checkPlain({ bytes: page, at: 0, end: decompress(page, raw, chunk).length }, count, chunk);
      continue;
    }
    if (type !== DATA_PAGE && type !== DATA_PAGE_V2) throw new Error(`a page of type ${type}`);
    const info = struct(header[type === DATA_PAGE ? 5 : 8]);
    const count = whole(info[1], "value count");
    values += count;
    if (values > chunk.values) throw new Error(`pages of ${values} values in a column of ${chunk.values}`);
    if (type === DATA_PAGE) checkV1(decompress(page, raw, chunk), count, whole(info[2], "encoding"), chunk);
    else checkV2(page, raw, count, info, chunk);
  }
}

function checkV1(bytes: Uint8Array, count: number, encoding: number, chunk: ColumnChunk): void {
  const cursor: Cursor = { bytes, at: 0, end: bytes.length };
  if (chunk.maxRepetition > 0) checkSized(cursor, bitWidth(chunk.maxRepetition), count);
  const there =
    chunk.maxDefinition > 0
      ? checkSized(cursor, bitWidth(chunk.maxDefinition), count, chunk.maxDefinition)
      : count;
  checkValues(cursor, encoding, there, chunk);
}

function checkV2(page: Uint8Array, raw: number, count: number, info: ThriftStruct, chunk: ColumnChunk): void {
  const [nulls, rows] = [whole(info[2], "null count"), whole(info[3], "row count")];
  const [definition, repetition] = [whole(info[5], "level bytes"), whole(info[6], "level bytes")];
  const levels = definition + repetition;
  if (nulls > count || rows > count || levels > Math.min(page.length, raw)) {
    throw new Error(`a page of ${rows} rows, ${count} values, ${nulls} nulls, ${levels} bytes of levels`);
  }
  if (chunk.maxRepetition > 0) {
    checkRuns({ bytes: page, at: 0, end: repetition }, bitWidth(chunk.maxRepetition), count);
  }
  if (chunk.maxDefinition > 0) {
    checkRuns({ bytes: page, at: repetition, end: levels }, bitWidth(chunk.maxDefinition), count);
  }
  const body = page.subarray(levels);
  const bytes = info[7] === false ? body : decompress(body, raw - levels, chunk);
  checkValues({ bytes, at: 0, end: bytes.length }, whole(info[4], "encoding"), count - nulls, chunk);
}

/** Check the bytes of `count` values, nulls left out. */
function checkValues(cursor: Cursor, encoding: number, count: number, chunk: ColumnChunk): void {
  if (count === 0) return;
  switch (encoding) {
    case PLAIN:
    case BYTE_STREAM_SPLIT:
      checkPlain(cursor, count, chunk);
      break;
    case PLAIN_DICTIONARY:
    case RLE_DICTIONARY:
      checkRuns(cursor, readByte(cursor), count);
      break;
    case RLE:
      if (chunk.type !== "BOOLEAN") throw new Error(`runs of type ${chunk.type}`);
      checkSized(cursor, 1, count);
      break;
    case DELTA_BINARY_PACKED:
    case DELTA_LENGTH_BYTE_ARRAY:
      checkDeltas(cursor, count);
      break;
    default:
      throw new Error(`unsupported encoding ${encoding}`);
  }
}

/** Runs after their length in bytes. */
function checkSized(cursor: Cursor, width: number, count: number, equalTo?: number): number {
  let bytes = 0;
  for (let i = 0; i < 4; i++) bytes += readByte(cursor) * 2 ** (8 * i);
  if (bytes > cursor.end - cursor.at)
    throw new Error(`${bytes} bytes of levels in ${cursor.end - cursor.at}`);
  const found = checkRuns(
    { bytes: cursor.bytes, at: cursor.at, end: cursor.at + bytes },
    width,
    count,
    equalTo,
  );
  cursor.at += bytes;
  return found;
}

const WIDTHS: Readonly<Record<string, number>> = { INT32: 4, FLOAT: 4, INT64: 8, DOUBLE: 8, INT96: 12 };

/** Fixed-size values need their bytes; a byte array at least its length. */
function checkPlain({ at, end }: Cursor, count: number, { type, typeLength }: ColumnChunk): void {
  const each =
    type === "BOOLEAN" ? 1 / 8 : type === "FIXED_LEN_BYTE_ARRAY" ? typeLength : (WIDTHS[type] ?? 4);
  if (!(each > 0) || Math.ceil(count * each) > end - at) {
    throw new Error(`${count} values of type ${type} in ${end - at} bytes`);
  }
}

function decompress(page: Uint8Array, length: number, { codec }: ColumnChunk): Uint8Array {
  const bytes = CODECS[codec]!(page, length);
  if (bytes.length !== length) throw new Error(`a page of ${length} bytes decompresses to ${bytes.length}`);
  return bytes;
}

const bitWidth = (level: number): number => 32 - Math.clz32(level);

function whole(value: ThriftStruct[number], what: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${what}: ${value}`);
}

function struct(value: ThriftStruct[number]): ThriftStruct {
  if (typeof value === "object" && !Array.isArray(value)) return value as ThriftStruct;
  throw new Error("a page header without its details");
}
