/**
 * @file OrtSessionOptions from ours.
 */
import { dirname } from "node:path";
import { InsulaError } from "@insula/model-types";
import { explainCudaFailure } from "../cuda-libraries/explain.js";
import { preloadCudaLibraries } from "../cuda-libraries/preload.js";
import { parseDevice } from "../device.js";
import type { CudaOptions, SessionOptions } from "../session.js";
import type { Api, Handle } from "./api.js";
import { onnxRuntimeLibrary } from "./library.js";
import { useSharedArena } from "./shared-arena.js";

/** GraphOptimizationLevel */
const LEVELS = { none: 0, basic: 1, extended: 2, all: 99 } as const;
const LOG_ERRORS = 3;

/** OrtSessionOptions; the caller releases them. @throws InsulaError `session/device` when CUDA does not load. */
export function makeSessionOptions(api: Api, options: SessionOptions): Handle {
  const {
    device = "cpu",
    cuda,
    threads,
    optimizationLevel = "all",
    disabledOptimizers = [],
    optimizedModelPath,
    profilePrefix,
    sharedArena = false,
  } = options;
  const location = parseDevice(device);
  const handle = api.get("CreateSessionOptions");
  try {
    api.call("SetSessionGraphOptimizationLevel", handle, LEVELS[optimizationLevel]);
    api.call("SetSessionLogSeverityLevel", handle, LOG_ERRORS);
    if (threads) api.call("SetIntraOpNumThreads", handle, threads);
    // A pattern is a second arena block of the size of the first run's, from the second run on.
    api.call("DisableMemPattern", handle);
    if (sharedArena && location.type === "cpu") useSharedArena(api, handle);
    // For `Session.placement`: names and types only, kept once per session.
    api.call("AddSessionConfigEntry", handle, "session.record_ep_graph_assignment_info", "1");
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
    if (location.type === "cuda") appendCuda(api, handle, device, cudaProviderOptions(location.index, cuda));
    return handle;
  } catch (error) {
    api.plain("ReleaseSessionOptions", handle);
    throw error;
  }
}

/** Keys and values of ONNX Runtime's CUDA provider. @throws InsulaError `session/device` for a bad limit. */
export function cudaProviderOptions(
  index: number,
  { memoryLimit, arenaExtend, tf32, cudnnConvAlgoSearch }: CudaOptions = {},
): Record<string, string> {
  if (memoryLimit !== undefined && !(Number.isSafeInteger(memoryLimit) && memoryLimit > 0)) {
    throw new InsulaError(
      "session/device",
      `session: cuda.memoryLimit: expected a number of bytes above 0, found ${memoryLimit}`,
    );
  }
  return {
    device_id: `${index}`,
    ...(memoryLimit === undefined ? {} : { gpu_mem_limit: `${memoryLimit}` }),
    ...(arenaExtend ? { arena_extend_strategy: ARENA_EXTEND[arenaExtend] } : {}),
    ...(tf32 === undefined ? {} : { use_tf32: tf32 ? "1" : "0" }),
    ...(cudnnConvAlgoSearch ? { cudnn_conv_algo_search: CONV_SEARCH[cudnnConvAlgoSearch] } : {}),
  };
}

/** What failed on CUDA, and what helps. */
export function cudaError(device: string, cause: Error): InsulaError {
  const reason = explainCudaFailure(cause.message, dirname(onnxRuntimeLibrary().path));
  return new InsulaError("session/device", `session: device '${device}' does not work here: ${reason}`, {
    cause,
  });
}

const ARENA_EXTEND = {
  "next-power-of-two": "kNextPowerOfTwo",
  "same-as-requested": "kSameAsRequested",
} as const;
const CONV_SEARCH = { exhaustive: "EXHAUSTIVE", heuristic: "HEURISTIC", default: "DEFAULT" } as const;

function appendCuda(
  api: Api,
  options: Handle,
  device: string,
  settings: Readonly<Record<string, string>>,
): void {
  let cuda: Handle;
  try {
    preloadCudaLibraries(dirname(onnxRuntimeLibrary().path));
    cuda = api.get("CreateCUDAProviderOptions");
    const [keys, values] = [Object.keys(settings), Object.values(settings)];
    api.call("UpdateCUDAProviderOptions", cuda, keys, values, keys.length);
    api.call("SessionOptionsAppendExecutionProvider_CUDA_V2", options, cuda);
  } catch (cause) {
    throw cudaError(device, cause as Error);
  } finally {
    if (cuda) api.plain("ReleaseCUDAProviderOptions", cuda);
  }
}
