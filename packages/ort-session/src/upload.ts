/**
 * @file From host tensors to device tensors.
 */
import { InsulaError } from "@insula/model-types";
import { uploadToPool } from "./capi/pool-tensor.js";
import { defaultRuntime } from "./create-session.js";
import { parseDevice } from "./device.js";
import { type DeviceTensor, hostDeviceTensor } from "./device-tensor.js";
import type { SessionOptions } from "./session.js";
import type { Tensor } from "./tensor.js";

/**
 * Make a device tensor, for sessions of the same device and runtime. On the CPU, and on the node runtime, it *is*
 * `tensor`: no copy is made, and runs write into `tensor.data`. On CUDA the capi runtime copies it to the device.
 * @throws InsulaError `session/device` when the device does not load, `tensor/type` for `bfloat16` on the node
 *   runtime.
 */
export async function upload(
  tensor: Tensor,
  { device = "cpu", runtime = defaultRuntime() }: Pick<SessionOptions, "device" | "runtime"> = {},
): Promise<DeviceTensor> {
  if (parseDevice(device).type === "cuda" && runtime === "capi") return uploadToPool(tensor, device);
  if (runtime === "node" && tensor.type === "bfloat16") {
    throw new InsulaError("tensor/type", "tensor: the node runtime has no bfloat16; use the capi runtime");
  }
  return hostDeviceTensor(tensor, device);
}
