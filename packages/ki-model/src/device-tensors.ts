/**
 * @file Parameters, and what is shaped like them, on the device of a session: placed once, bound to every graph that
 * names them.
 */
import { type DeviceTensor, type SessionOptions, type Slot, type Tensor, upload } from "@insula/ort-session";

/** Where graphs run and their tensors lie. */
export type ExecutionOptions = Pick<SessionOptions, "device" | "runtime" | "threads" | "cuda" | "cacheDir">;

/** The execution options among others, without those that are absent. */
export function executionOptions({
  device,
  runtime,
  threads,
  cuda,
  cacheDir,
}: ExecutionOptions): ExecutionOptions {
  return {
    ...(device === undefined ? {} : { device }),
    ...(runtime === undefined ? {} : { runtime }),
    ...(threads ? { threads } : {}),
    ...(cuda === undefined ? {} : { cuda }),
    ...(cacheDir ? { cacheDir } : {}),
  };
}

/** Device tensors by name, that end together. */
export interface DeviceTensors {
  readonly byName: ReadonlyMap<string, DeviceTensor>;
  release(): void;
}

/**
 * Place tensors on the device, one after the other: what is made while iterating is in host memory only as long as
 * its copy takes. When one fails none stays.
 */
export async function placeTensors(
  tensors: Iterable<readonly [name: string, tensor: Tensor]>,
  options: ExecutionOptions,
): Promise<DeviceTensors> {
  const byName = new Map<string, DeviceTensor>();
  const release = () => {
    for (const tensor of byName.values()) tensor.release();
  };
  try {
    for (const [name, tensor] of tensors) byName.set(name, await upload(tensor, options));
  } catch (error) {
    release();
    throw error;
  }
  return { byName, release };
}

/** The tensors that `slots` name: inputs or outputs to bind, `prefix` before each tensor's own name. */
export function bound(
  slots: readonly Slot[],
  { byName }: Pick<DeviceTensors, "byName">,
  prefix = "",
): Record<string, DeviceTensor> {
  const found: Record<string, DeviceTensor> = {};
  for (const { name } of slots) {
    if (!name.startsWith(prefix)) continue;
    const tensor = byName.get(name.slice(prefix.length));
    if (tensor) found[name] = tensor;
  }
  return found;
}

/** Something that holds native memory until it is released. */
export interface Releasable {
  release(): void | Promise<void>;
}

/** Release in order, all of them whatever fails; the first failure is thrown. */
export async function releaseAll(all: readonly (Releasable | undefined)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const one of all) {
    try {
      await one?.release();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Make several things at once; when one cannot be made, the others are released and its error is thrown. */
export async function makeAll<T extends readonly (Releasable | undefined)[]>(
  makers: {
    [K in keyof T]: Promise<T[K]>;
  },
): Promise<T> {
  const results = await Promise.allSettled(makers);
  const failed = results.find((result) => result.status === "rejected");
  if (!failed) return results.map((result) => (result as PromiseFulfilledResult<T[number]>).value) as never;
  await releaseAll(results.map((result) => (result.status === "fulfilled" ? result.value : undefined)));
  throw failed.reason;
}
