/**
 * @file Tensors that live on a device: made once, bound to sessions, read and written by the runs themselves.
 */
import { InsulaError } from "@insula/model-types";
import type { Device } from "./device.js";
import type { Tensor, TensorType } from "./tensor.js";

/**
 * A tensor in a device's memory, shared by any number of sessions on that device. Host and device only exchange it
 * by `read` and `write`, and never while a run that uses it is in flight.
 */
export interface DeviceTensor {
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly device: Device;
  /** A copy in host memory. */
  read(): Promise<Tensor>;
  /**
   * Replace the contents.
   * @throws InsulaError `tensor/type` or `tensor/shape` unless type and shape are the same.
   */
  write(tensor: Tensor): Promise<void>;
  /** Free the memory, once no binding uses it any more. Nothing but `release` may follow. */
  release(): void;
}

/** What the runtimes see of a device tensor. */
export interface DeviceMemory {
  /** The tensor itself where the device's memory is the host's. */
  readonly host?: Tensor;
  /** ONNX Runtime's value where it is not. */
  readonly value?: unknown;
  readonly released: boolean;
  /** Keep the memory until the returned function is called, whoever releases the tensor. */
  retain(): () => void;
}

const memories = new WeakMap<DeviceTensor, DeviceMemory>();

/** The memory of a device tensor. @throws InsulaError `session/feed` for anything else. */
export function memoryOf(tensor: DeviceTensor): DeviceMemory {
  const memory = memories.get(tensor);
  if (!memory) throw new InsulaError("session/feed", "session: expected a device tensor, made by `upload`");
  return memory;
}

/** How one kind of memory is read, written and freed. */
export interface MemoryAccess {
  host?: Tensor;
  value?: unknown;
  read(): Promise<Tensor>;
  write(tensor: Tensor): Promise<void>;
  free(): void;
}

/** A device tensor over some memory, freed when it is released and nothing retains it. */
export function deviceTensor(
  { type, shape, device }: Pick<DeviceTensor, "type" | "shape" | "device">,
  access: MemoryAccess,
): DeviceTensor {
  let released = false;
  let users = 1;
  const leave = () => {
    if (--users === 0) access.free();
  };
  const alive = () => {
    if (released) throw new InsulaError("tensor/released", "tensor: it was released");
  };
  /** The memory stays while a copy from or to it is under way. */
  const using = async <T>(work: () => Promise<T>): Promise<T> => {
    alive();
    users++;
    try {
      return await work();
    } finally {
      leave();
    }
  };
  const tensor: DeviceTensor = {
    type,
    shape,
    device,
    read: () => using(() => access.read()),
    write: (from) =>
      using(async () => {
        checkSame(tensor, from);
        await access.write(from);
      }),
    release() {
      if (released) return;
      released = true;
      leave();
    },
  };
  memories.set(tensor, {
    ...(access.host ? { host: access.host } : {}),
    ...(access.value === undefined ? {} : { value: access.value }),
    get released() {
      return released;
    },
    retain() {
      let held = true;
      users++;
      return () => {
        if (held) leave();
        held = false;
      };
    },
  });
  return tensor;
}

/** A device tensor that is a host tensor: `tensor`'s own array, not a copy. */
export function hostDeviceTensor(tensor: Tensor, device: Device): DeviceTensor {
  return deviceTensor(
    { ...tensor, device },
    {
      host: tensor,
      read: async () => ({ data: tensor.data.slice(), shape: tensor.shape, type: tensor.type }),
      write: async ({ data }) => (tensor.data as Float32Array).set(data as Float32Array),
      free() {},
    },
  );
}

function checkSame({ type, shape }: DeviceTensor, from: Tensor): void {
  if (from.type !== type) {
    throw new InsulaError("tensor/type", `tensor: expected ${type}, found ${from.type}`);
  }
  if (from.shape.join() !== shape.join()) {
    throw new InsulaError(
      "tensor/shape",
      `tensor: expected [${shape.join(", ")}], found [${from.shape.join(", ")}]`,
    );
  }
}
