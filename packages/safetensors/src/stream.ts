/**
 * @file Writing tensors that are never whole in memory: the header follows from the shapes, the elements come
 * in chunks. Beside, fsync, rename; what fails leaves nothing behind.
 */
import { open, rename, rm } from "node:fs/promises";
import { InsulaError, sizeOf, type TypedArray } from "@insula/model-types";
import { type Dtype, storageOf } from "./dtype.js";
import { writeAll } from "./file.js";
import { headerBytes, type TensorInfo } from "./format.js";

/** A tensor to write whose elements are made when their turn comes. */
export interface StreamedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The elements in row-major order, in as many arrays as is convenient. Called once, after the tensors before it. */
  chunks(): AsyncIterable<TypedArray> | Iterable<TypedArray>;
}

/**
 * Write `tensors` to `path` one after the other: no more than a chunk is held. Tensors are ordered widest element
 * first, then by name, as `writeSafetensors` orders them: both write the same bytes.
 * @throws InsulaError `safetensors/stream` when a tensor gives more or fewer elements than its shape; the error of
 *   a chunk's source as it is. `path` is then as it was.
 */
export async function streamSafetensors(
  path: string,
  tensors: Iterable<StreamedTensor>,
  metadata?: Record<string, string>,
): Promise<void> {
  const width = ({ dtype }: StreamedTensor) => storageOf(dtype).BYTES_PER_ELEMENT;
  const order = [...tensors].sort(
    (a, b) => width(b) - width(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const entries: [string, TensorInfo][] = [];
  let offset = 0;
  for (const tensor of order) {
    const { name, dtype, shape } = tensor;
    const end = offset + sizeOf(shape) * width(tensor);
    entries.push([name, { dtype, shape: [...shape], dataOffsets: [offset, end] }]);
    offset = end;
  }
  const beside = `${path}.partial`;
  const handle = await open(beside, "w");
  try {
    await writeAll(handle, headerBytes(entries, metadata));
    for (const tensor of order) {
      const expected = sizeOf(tensor.shape) * width(tensor);
      let written = 0;
      for await (const { buffer, byteOffset, byteLength } of tensor.chunks()) {
        written += byteLength;
        if (written > expected) break;
        await writeAll(handle, new Uint8Array(buffer, byteOffset, byteLength));
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
