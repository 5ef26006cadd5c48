/**
 * @file Device tensors in a device's pool.
 */
import type { Device } from "../device.js";
import { type DeviceTensor, deviceTensor } from "../device-tensor.js";
import { type Tensor, zerosTensor } from "../tensor.js";
import { openDevicePool } from "./device-pool.js";

/** Copy a tensor to the device. On the CPU too: it is the same path, whatever the device. */
export async function uploadToPool(tensor: Tensor, device: Device): Promise<DeviceTensor> {
  const { type, shape } = tensor;
  const pool = await openDevicePool(device);
  let value: unknown;
  const free = () => {
    if (value) pool.freeValue(value);
    pool.close();
  };
  try {
    value = pool.allocate(tensor);
    await pool.upload(tensor, value);
  } catch (error) {
    free();
    throw error;
  }
  return deviceTensor(
    { type, shape, device },
    {
      value,
      async read() {
        const out = zerosTensor(type, shape);
        await pool.download(value, out);
        return out;
      },
      write: (from) => pool.upload(from, value),
      free,
    },
  );
}
