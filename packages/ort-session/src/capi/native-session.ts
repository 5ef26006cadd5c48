/**
 * @file Make an OrtSession on another thread, so that several can be made at once.
 */
import { InsulaError } from "@insula/model-types";
import { parseDevice } from "../device.js";
import type { SessionOptions } from "../session.js";
import type { Api, Handle } from "./api.js";
import { cudaError, makeSessionOptions } from "./session-options.js";

/**
 * An OrtSession; the caller releases it.
 * @throws InsulaError `session/create` when the model is refused, `session/device` when the device is not there.
 */
export async function createNativeSession(
  api: Api,
  model: Uint8Array | string,
  options: SessionOptions,
): Promise<Handle> {
  const { device = "cpu" } = options;
  const sessionOptions = makeSessionOptions(api, options);
  try {
    if (typeof model === "string") return await api.getAsync("CreateSession", api.env, model, sessionOptions);
    void model.buffer; // off V8's movable heap
    return await api.getAsync("CreateSessionFromArray", api.env, model, model.byteLength, sessionOptions);
  } catch (cause) {
    const { message } = cause as Error;
    // The provider itself is made here: the device may not exist, or its driver not fit.
    if (
      parseDevice(device).type === "cuda" &&
      /\b(CUDA|CUDNN|CUBLAS) (failure|error)|cudaSetDevice/i.test(message)
    )
      throw cudaError(device, cause as Error);
    throw new InsulaError("session/create", `session: ONNX Runtime refused the model: ${message}`, { cause });
  } finally {
    api.plain("ReleaseSessionOptions", sessionOptions);
  }
}
