/**
 * @file OrtValues over memory that we own.
 */
import { ELEMENT_TYPE } from "../element-types.js";
import type { Tensor, TensorType } from "../tensor.js";
import type { Api, Handle } from "./api.js";

/**
 * An OrtValue that reads and writes `tensor.data` itself. The caller keeps the tensor alive as long as the value,
 * and releases the value.
 */
export function valueOver(api: Api, { data, shape, type }: Tensor): Handle {
  // Small typed arrays live on V8's movable heap until their buffer is asked for.
  void data.buffer;
  const dims = BigInt64Array.from(shape, BigInt);
  return api.get(
    "CreateTensorWithDataAsOrtValue",
    api.hostMemory,
    data,
    data.byteLength,
    dims,
    shape.length,
    ELEMENT_TYPE[type],
  );
}

/** An OrtValue in an allocator's memory, not initialised. The allocator must outlive it. */
export function allocatedValue(
  api: Api,
  allocator: Handle,
  { type, shape }: { type: TensorType; shape: readonly number[] },
): Handle {
  const dims = BigInt64Array.from(shape, BigInt);
  return api.get("CreateTensorAsOrtValue", allocator, dims, shape.length, ELEMENT_TYPE[type]);
}
