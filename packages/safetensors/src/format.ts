/**
 * @file The safetensors format in memory: 8 bytes of header length, a JSON header, then the tensors.
 * Specification: github.com/huggingface/safetensors. Big files are streamed by `./file.js`.
 */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import { type Dtype, dtypeOf, storageOf } from "./dtype.js";

/** One entry of the header. `dataOffsets` count from the end of the header. */
export interface TensorInfo {
  dtype: Dtype;
  shape: number[];
  dataOffsets: [number, number];
}

/** A tensor with its file dtype (F16 and BF16 keep their bits in a `Uint16Array`). */
export interface FileTensor extends NdArray {
  readonly dtype: Dtype;
}

/** A parsed header: tensors by name, and the text of its `__metadata__`, empty where it has none. */
export interface Header {
  tensors: Map<string, TensorInfo>;
  metadata: Record<string, string>;
  /** Where the tensors' bytes begin in the file. */
  dataStart: number;
}

/** A header larger than this is refused, as the reference implementation does. */
export const MAX_HEADER_LENGTH = 100_000_000;

/**
 * Parse and check a header: known dtypes, byte ranges that fit their shapes, inside `fileSize`.
 * @param bytes at least the header of the file.
 * @throws InsulaError `safetensors/…` naming `source` and the tensor.
 */
export function parseHeader(bytes: Uint8Array, fileSize: number, source = "safetensors"): Header {
  const fail = (problem: string): never => {
    throw new InsulaError("safetensors/header", `${source}: ${problem}`);
  };
  if (bytes.length < 8) fail(`not a safetensors file (${bytes.length} bytes)`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER_LENGTH) fail(`header of ${length} bytes, at most ${MAX_HEADER_LENGTH} allowed`);
  if (8 + length > bytes.length) fail(`header of ${length} bytes is cut short at ${bytes.length - 8}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (cause) {
    throw new InsulaError("safetensors/header", `${source}: header is not JSON`, { cause });
  }
  if (!isRecord(json)) return fail("header is not a JSON object");
  const tensors = new Map<string, TensorInfo>();
  const metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(json)) {
    if (!isRecord(entry)) return fail(`${name}: expected an object, found ${JSON.stringify(entry)}`);
    if (name === "__metadata__") {
      for (const [key, value] of Object.entries(entry)) metadata[key] = String(value);
      continue;
    }
    const {
      dtype,
      shape,
      data_offsets: offsets,
    } = entry as { dtype: string; shape: number[]; data_offsets: [number, number] };
    if (typeof dtype !== "string") fail(`${name}: no dtype`);
    if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0))
      fail(`${name}: bad shape`);
    const bytesNeeded = sizeOf(shape) * storageOf(dtype).BYTES_PER_ELEMENT;
    const [begin, end] = Array.isArray(offsets) ? offsets : [0, -1];
    if (!(Number.isSafeInteger(begin) && begin >= 0 && end - begin === bytesNeeded)) {
      fail(
        `${name}: ${dtype}[${shape.join(", ")}] needs ${bytesNeeded} bytes, data_offsets give ${end - begin}`,
      );
    }
    if (8 + length + end > fileSize)
      fail(`${name}: ends at byte ${8 + length + end}, the file has ${fileSize}`);
    tensors.set(name, { dtype: dtype as Dtype, shape, dataOffsets: [begin, end] });
  }
  return { tensors, metadata, dataStart: 8 + length };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A tensor from the bytes of its range (copied, so that alignment does not matter). */
export function tensorFromBytes(info: TensorInfo, bytes: Uint8Array): FileTensor {
  const Storage = storageOf(info.dtype);
  const copy = new Uint8Array(bytes); // not slice(): a Buffer's would share memory and alignment
  return { data: new Storage(copy.buffer, 0, sizeOf(info.shape)), shape: info.shape, dtype: info.dtype };
}

/** Parse a whole file held in memory: tensor name → tensor, in file order. */
export function parseSafetensors(bytes: Uint8Array, source?: string): Map<string, FileTensor> {
  const { tensors, dataStart } = parseHeader(bytes, bytes.length, source);
  const out = new Map<string, FileTensor>();
  for (const [name, info] of tensors) {
    out.set(
      name,
      tensorFromBytes(info, bytes.subarray(dataStart + info.dataOffsets[0], dataStart + info.dataOffsets[1])),
    );
  }
  return out;
}

/** Anything that can be written: the dtype follows from the array unless it is named. */
export type Writable = NdArray & { readonly dtype?: Dtype };

/** The header's bytes (length prefix included, padded to 8) and the tensors in the order of their bytes. */
export function makeHeader(
  tensors: Iterable<readonly [string, Writable]>,
  metadata?: Record<string, string>,
): { header: Uint8Array; order: Writable[] } {
  const entries: [string, TensorInfo][] = [];
  const order: Writable[] = [];
  // Widest elements first keeps every tensor aligned, as the reference writer does.
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => y.data.BYTES_PER_ELEMENT - x.data.BYTES_PER_ELEMENT || (a < b ? -1 : a > b ? 1 : 0),
  );
  let offset = 0;
  for (const [name, tensor] of sorted) {
    const end = offset + tensor.data.byteLength;
    entries.push([
      name,
      { dtype: tensor.dtype ?? dtypeOf(tensor.data), shape: [...tensor.shape], dataOffsets: [offset, end] },
    ]);
    order.push(tensor);
    offset = end;
  }
  return { header: headerBytes(entries, metadata), order };
}

/** The bytes of a header, length prefix included, padded to 8 with spaces. */
export function headerBytes(
  entries: Iterable<readonly [string, TensorInfo]>,
  metadata?: Record<string, string>,
): Uint8Array {
  const json: Record<string, unknown> = Object.create(null); // a tensor may be named __proto__
  if (metadata) json["__metadata__"] = metadata;
  for (const [name, { dtype, shape, dataOffsets }] of entries)
    json[name] = { dtype, shape, data_offsets: dataOffsets };
  const text = new TextEncoder().encode(JSON.stringify(json));
  const padded = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  return header;
}

/** Serialise tensors into the bytes of a safetensors file. */
export function serializeSafetensors(
  tensors: Iterable<readonly [string, Writable]>,
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const { header, order } = makeHeader(tensors, metadata);
  const out = new Uint8Array(order.reduce((sum, t) => sum + t.data.byteLength, header.length));
  out.set(header);
  let at = header.length;
  for (const { data } of order) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}
