/**
 * @file Memory of a device for tensors that outlive any one session: an arena of its own, and copies between it and
 * the host. Both are ONNX Runtime's, reached by sessions of one Identity node: no call to the device's own library.
 *
 * A pool opens with the first tensor on its device and closes with the last, which gives the memory back.
 */
import { type Device, parseDevice } from "../device.js";
import { identityModel } from "../model-bytes.js";
import type { Tensor, TensorType } from "../tensor.js";
import { type Api, type Handle, ortApi } from "./api.js";
import { sessionAllocator } from "./inspect.js";
import { createIoBinding } from "./io-binding.js";
import { createNativeSession } from "./native-session.js";
import { allocatedValue, valueOver } from "./values.js";

export interface DevicePool {
  /** An OrtValue of this type and shape on the device, not initialised; freed before `close`. */
  allocate(slot: { type: TensorType; shape: readonly number[] }): Handle;
  freeValue(value: Handle): void;
  /** Host to device. */
  upload(from: Tensor, to: Handle): Promise<void>;
  /** Device to host, over `to`'s contents. */
  download(from: Handle, to: Tensor): Promise<void>;
  /** One user fewer. */
  close(): void;
}

type OpenPool = Omit<DevicePool, "close"> & { destroy(): Promise<void> };

const open = new Map<string, { users: number; pool: Promise<OpenPool> }>();

/** The pool of a device. @throws InsulaError `session/device` when the device does not load. */
export async function openDevicePool(device: Device): Promise<DevicePool> {
  const { type, index } = parseDevice(device);
  const key = `${type}:${index}`;
  const entry = open.get(key) ?? { users: 0, pool: createPool(ortApi(), device) };
  open.set(key, entry);
  entry.users++;
  const leave = () => {
    if (--entry.users > 0) return;
    open.delete(key);
    void entry.pool.then((pool) => pool.destroy());
  };
  let pool: OpenPool;
  try {
    pool = await entry.pool;
  } catch (error) {
    // Whoever waits for the same promise fails too; the next one tries again.
    if (open.get(key) === entry) open.delete(key);
    throw error;
  }
  let left = false;
  return {
    ...pool,
    close() {
      if (!left) leave();
      left = true;
    },
  };
}

async function createPool(api: Api, device: Device): Promise<OpenPool> {
  const location = parseDevice(device);
  const onHost = location.type === "cpu";
  /** One session per element type; the first one's arena holds all tensors. */
  const sessions = new Map<TensorType, Promise<Handle>>();
  const sessionOf = (type: TensorType): Promise<Handle> => {
    let session = sessions.get(type);
    if (!session) {
      const cuda = { arenaExtend: "same-as-requested" } as const;
      session = createNativeSession(api, identityModel(type), { device, threads: 1, cuda });
      session.catch(() => sessions.delete(type));
      sessions.set(type, session);
    }
    return session;
  };
  const first = await sessionOf("float32");
  let allocator: Handle;
  try {
    allocator = sessionAllocator(api, first, location);
  } catch (error) {
    api.plain("ReleaseSession", first);
    throw error;
  }

  /** Copies run one after the other: each may need a passing copy on the device. */
  let queue: Promise<unknown> = Promise.resolve();
  const copy = (host: Tensor, work: (value: Handle) => { from: Handle; to: Handle }): Promise<void> => {
    const done = queue.then(async () => {
      const session = await sessionOf(host.type);
      const value = valueOver(api, host);
      const { from, to } = work(value);
      const io = createIoBinding(api, session, !onHost);
      try {
        await io.inputAsync("x", from);
        io.output("y", to);
        await io.run();
      } finally {
        io.release();
        api.plain("ReleaseValue", value);
      }
    });
    queue = done.catch(() => {});
    return done;
  };
  return {
    allocate: (slot) => allocatedValue(api, allocator, slot),
    freeValue: (value) => api.plain("ReleaseValue", value),
    upload: (from, to) => copy(from, (value) => ({ from: value, to })),
    download: (from, to) => copy(to, (value) => ({ from, to: value })),
    async destroy() {
      await queue;
      // The arena is the first session's: sessions go last.
      api.plain("ReleaseAllocator", allocator);
      for (const session of sessions.values()) api.plain("ReleaseSession", await session);
    },
  };
}
