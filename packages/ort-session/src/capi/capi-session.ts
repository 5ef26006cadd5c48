/**
 * @file Sessions over ONNX Runtime's C API. Inputs and outputs are bound where they lie: nothing is copied, an
 * update in place is one, and the run is on another thread, so the event loop stays free.
 */
import { InsulaError } from "@insula/model-types";
import { checkFeeds } from "../check-feeds.js";
import type { Session, SessionOptions, Slot } from "../session.js";
import { type Tensor, zerosTensor } from "../tensor.js";
import { type Api, type Handle, ortApi } from "./api.js";
import { elementTypeName, valueOver } from "./values.js";

/** OrtAllocatorType OrtDeviceAllocator, OrtMemType OrtMemTypeDefault. */
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;
const ALL_OPTIMIZATIONS = 99;

/**
 * Create a session from a serialised model or the path of one.
 * @throws InsulaError `session/create` when the model is refused, `session/device` when the device does not load,
 *   `ort/load` when the library does not.
 */
export async function createCapiSession(
  model: Uint8Array | string,
  options: SessionOptions = {},
): Promise<Session> {
  const api = ortApi();
  const device = options.device ?? "cpu";
  const sessionOptions = makeOptions(api, options);
  let session: Handle;
  try {
    session =
      typeof model === "string"
        ? api.get("CreateSession", api.env, model, sessionOptions)
        : api.get("CreateSessionFromArray", api.env, model, model.byteLength, sessionOptions);
  } catch (cause) {
    throw new InsulaError(
      "session/create",
      `session: ONNX Runtime refused the model: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    api.release("ReleaseSessionOptions", sessionOptions);
  }
  const memoryInfo = api.get("CreateCpuMemoryInfo", DEVICE_ALLOCATOR, DEFAULT_MEMORY);
  const inputs = readSlots(api, session, "Input");
  const outputs = readSlots(api, session, "Output");
  let released = false;

  return {
    inputs,
    outputs,
    device,
    async run(feeds, { into = {}, outputs: wanted = outputs.map((o) => o.name) } = {}) {
      checkFeeds(inputs, feeds);
      const binding = api.get("CreateIoBinding", session);
      const values: Handle[] = [];
      const results: Record<string, Tensor> = {};
      /** One value per memory: an output over a feed is the same value. */
      const known = new Map<Tensor["data"], Handle>();
      const ortValue = (tensor: Tensor): Handle => {
        let value = known.get(tensor.data);
        if (!value) {
          value = valueOver(api, memoryInfo, tensor);
          values.push(value);
          known.set(tensor.data, value);
        }
        return value;
      };
      try {
        for (const { name } of inputs) api.call("BindInput", binding, name, ortValue(feeds[name]!));
        const slots = new Map(outputs.map((o) => [o.name, o]));
        for (const name of wanted) {
          const slot = slots.get(name);
          if (!slot) throw new InsulaError("session/output", `session: the model has no output '${name}'`);
          const tensor = into[name] ?? zerosTensor(slot.type, slot.shape);
          results[name] = tensor;
          api.call("BindOutput", binding, name, ortValue(tensor));
        }
        await api.callAsync("RunWithBinding", session, null, binding);
      } catch (cause) {
        if (cause instanceof InsulaError && !cause.code.startsWith("ort/")) throw cause;
        throw new InsulaError("session/run", `session: ${(cause as Error).message}`, { cause });
      } finally {
        api.release("ReleaseIoBinding", binding);
        for (const value of values) api.release("ReleaseValue", value);
      }
      return results;
    },
    async release() {
      if (released) return;
      released = true;
      api.release("ReleaseMemoryInfo", memoryInfo);
      api.release("ReleaseSession", session);
    },
  };
}

function makeOptions(api: Api, options: SessionOptions): Handle {
  const { device = "cpu", threads, disabledOptimizers = [], optimizedModelPath, profilePrefix } = options;
  const handle = api.get("CreateSessionOptions");
  try {
    api.call("SetSessionGraphOptimizationLevel", handle, ALL_OPTIMIZATIONS);
    api.call("SetSessionLogSeverityLevel", handle, 3);
    if (threads) api.call("SetIntraOpNumThreads", handle, threads);
    if (disabledOptimizers.length > 0) {
      api.call(
        "AddSessionConfigEntry",
        handle,
        "optimization.disable_specified_optimizers",
        disabledOptimizers.join(";"),
      );
    }
    if (optimizedModelPath) api.call("SetOptimizedModelFilePath", handle, optimizedModelPath);
    if (profilePrefix) api.call("EnableProfiling", handle, profilePrefix);
    if (device === "cuda") appendCuda(api, handle);
    return handle;
  } catch (error) {
    api.release("ReleaseSessionOptions", handle);
    throw error;
  }
}

function appendCuda(api: Api, options: Handle): void {
  let cuda: Handle;
  try {
    cuda = api.get("CreateCUDAProviderOptions");
  } catch (cause) {
    throw new InsulaError(
      "session/device",
      `session: device 'cuda' does not load here: ${(cause as Error).message}`,
      { cause },
    );
  }
  try {
    api.call("SessionOptionsAppendExecutionProvider_CUDA_V2", options, cuda);
  } catch (cause) {
    throw new InsulaError(
      "session/device",
      `session: device 'cuda' does not load here: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    api.release("ReleaseCUDAProviderOptions", cuda);
  }
}

function readSlots(api: Api, session: Handle, side: "Input" | "Output"): Slot[] {
  const count = Number(api.get<number>(`SessionGet${side}Count`, session));
  return Array.from({ length: count }, (_, i) => {
    const name = api.takeString(api.get(`SessionGet${side}Name`, session, i, api.allocator));
    const info = api.get(`SessionGet${side}TypeInfo`, session, i);
    try {
      const tensor = api.get("CastTypeInfoToTensorInfo", info);
      const type = elementTypeName(api.get<number>("GetTensorElementType", tensor));
      if (!type)
        throw new InsulaError(
          "session/create",
          `session: '${name}' has an element type that is not exchanged`,
        );
      const shape = new BigInt64Array(Number(api.get<number>("GetDimensionsCount", tensor)));
      api.call("GetDimensions", tensor, shape, shape.length);
      return { name, type, shape: Array.from(shape, Number) };
    } finally {
      api.release("ReleaseTypeInfo", info);
    }
  });
}
