/**
 * @file A parquet file as hyparquet sees it: bytes of column chunks and page indexes are checked on their way in.
 */
import type { AsyncBuffer } from "hyparquet";
import type { ColumnChunk, FileMap } from "./footer.js";
import { type Budget, checkPages } from "./pages.js";
import { readStruct, type ThriftStruct } from "./thrift.js";

/** What a read may decompress to: this much whatever it reads, and so much per byte that it reads. */
const FREE_BYTES = 1 << 28;
const BYTES_PER_BYTE = 64;

/**
 * `file`, restricted to `columns`: a slice that is neither pages of theirs nor their index is refused, and so is one
 * whose pages are not what they say.
 */
export function guarded(
  file: AsyncBuffer,
  { chunks, indexes }: FileMap,
  columns: ReadonlySet<string>,
): AsyncBuffer {
  const budget: Budget = { left: FREE_BYTES };
  return {
    byteLength: file.byteLength,
    async slice(start, end = file.byteLength) {
      const buffer = await file.slice(start, end);
      const known = overlapping(chunks, start, end);
      const index = known.length === 0 ? indexes.get(start) : undefined;
      if (index?.index?.end === end) {
        checkIndex(new Uint8Array(buffer), index);
        return buffer;
      }
      const wanted = known.filter((chunk) => columns.has(chunk.column));
      if (wanted.length === 0) throw new Error(`bytes ${start} to ${end} belong to no column that is read`);
      budget.left += BYTES_PER_BYTE * (end - start);
      for (const chunk of wanted) {
        const from = Math.max(start, chunk.start);
        checkPages(new Uint8Array(buffer, from - start, Math.min(end, chunk.end) - from), chunk, budget);
      }
      return buffer;
    },
  };
}

/** Chunks do not overlap each other and are in order. */
function overlapping(chunks: readonly ColumnChunk[], start: number, end: number): ColumnChunk[] {
  let low = 0;
  for (let high = chunks.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (chunks[middle]!.end <= start) low = middle + 1;
    else high = middle;
  }
  const found: ColumnChunk[] = [];
  for (let i = low; i < chunks.length && chunks[i]!.start < end; i++) found.push(chunks[i]!);
  return found;
}

/** A page index may only name pages of its own column, in order. */
function checkIndex(bytes: Uint8Array, chunk: ColumnChunk): void {
  const pages = readStruct({ bytes, at: 0, end: bytes.length })[1];
  if (!Array.isArray(pages) || pages.length === 0) throw new Error("a page index without pages");
  let at = chunk.start;
  let row = 0;
  for (const [i, page] of (pages as ThriftStruct[]).entries()) {
    const [offset, size, first] = [Number(page[1]), Number(page[2]), Number(page[3])];
    const ordered = offset >= at && size > 0 && first >= row && (i > 0 || first === 0);
    if (!ordered || offset + size > chunk.end || first >= chunk.rows) {
      throw new Error(`a page index that names bytes ${offset} to ${offset + size}, row ${first}`);
    }
    at = offset + size;
    row = first;
  }
}
