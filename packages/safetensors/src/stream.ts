/**
 * @file Writing tensors that are never whole in memory: the header follows from the shapes, the elements come
 * in chunks. Beside, fsync, rename; what fails leaves nothing behind.
 */
import { open, rename, rm } from "node:fs/promises";
import { InsulaError, sizeOf, type TypedArray } from "@insula/model-types";
import { type Dtype, dtypeOf, storageOf } from "./dtype.js";
import { writeAll } from "./file.js";
import { headerBytes, type TensorInfo, type Writable } from "./format.js";

/** A tensor to write whose elements are made when their turn comes. */
export interface StreamedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The elements in row-major order, in as many arrays as is convenient. Called once, after the tensors before it. */
  chunks(): AsyncIterable<TypedArray> | Iterable<TypedArray>;
}

/** Bytes of one chunk of a tensor that is whole in memory. */
const CHUNK_BYTES = 1 << 26;

/** A tensor in memory as one to stream: parts of its own memory, nothing is copied. */
export function streamed(name: string, tensor: Writable): StreamedTensor {
  const { data, shape, dtype = dtypeOf(data) } = tensor;
  const step = CHUNK_BYTES / data.BYTES_PER_ELEMENT;
  return {
    name,
    dtype,
    shape,
    *chunks() {
      for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step);
    },
  };
}

/** Bytes that a tensor takes in a file. */
export const bytesOf = ({ dtype, shape }: Pick<StreamedTensor, "dtype" | "shape">): number =>
  sizeOf(shape) * storageOf(dtype).BYTES_PER_ELEMENT;

/**
 * Write `tensors` to `path` one after the other: no more than a chunk is held. Tensors are ordered widest element
 * first, then by name, as `writeSafetensors` orders them: both write the same bytes.
 * @param see is shown every byte on its way to the file, in order: for a checksum.
 * @throws InsulaError `safetensors/stream` when a tensor gives more or fewer elements than its shape; the error of
 *   a chunk's source as it is. `path` is then as it was.
 */
export async function streamSafetensors(
  path: string,
  tensors: Iterable<StreamedTensor>,
  metadata?: Record<string, string>,
  see: (bytes: Uint8Array) => void = () => undefined,
): Promise<void> {
  const width = ({ dtype }: StreamedTensor) => storageOf(dtype).BYTES_PER_ELEMENT;
  const order = [...tensors].sort(
    (a, b) => width(b) - width(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const entries: [string, TensorInfo][] = [];
  let offset = 0;
  for (const tensor of order) {
    const { name, dtype, shape } = tensor;
    const end = offset + bytesOf(tensor);
    entries.push([name, { dtype, shape: [...shape], dataOffsets: [offset, end] }]);
    offset = end;
  }
  const beside = `${path}.partial`;
  const handle = await open(beside, "w");
  const put = (bytes: Uint8Array) => {
    see(bytes);
    return writeAll(handle, bytes);
  };
  try {
    await put(headerBytes(entries, metadata));
    for (const tensor of order) {
      const expected = bytesOf(tensor);
      let written = 0;
      for await (const { buffer, byteOffset, byteLength } of tensor.chunks()) {
        written += byteLength;
        if (written > expected) break;
        await put(new Uint8Array(buffer, byteOffset, byteLength));
      }
      if (written !== expected) {
        throw new InsulaError(
          "safetensors/stream",
          `${path}: ${tensor.name}: ${tensor.dtype}[${tensor.shape.join(", ")}] needs ${expected} bytes, its chunks gave ${written}${written > expected ? " or more" : ""}`,
        );
      }
    }
    await handle.sync();
    await handle.close();
    await rename(beside, path);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(beside, { force: true });
    throw error;
  }
}
