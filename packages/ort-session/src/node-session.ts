/**
 * @file Sessions over onnxruntime-node's public API. Works wherever that package works; results are copied to
 * the host.
 */
import { InsulaError } from "@insula/model-types";
import * as ort from "onnxruntime-node";
import { checkFeeds } from "./check-feeds.js";
import type { Session, SessionOptions, Slot } from "./session.js";
import type { Tensor, TensorType } from "./tensor.js";

/**
 * Create a session from a serialised model or the path of one.
 * @throws InsulaError `session/device` when the device's provider does not load, `session/create` when the
 *   model is refused.
 */
export async function createNodeSession(
  model: Uint8Array | string,
  options: SessionOptions = {},
): Promise<Session> {
  const { device = "cpu" } = options;
  let session: ort.InferenceSession;
  try {
    session = await (typeof model === "string"
      ? ort.InferenceSession.create(model, toOrtOptions(options))
      : ort.InferenceSession.create(model, toOrtOptions(options)));
  } catch (cause) {
    const { message } = cause as Error;
    // The provider's own library, or one of CUDA's, is missing.
    if (device === "cuda" && /providers_(shared|cuda)|CUDA|cudnn/i.test(message)) {
      throw new InsulaError("session/device", `session: device 'cuda' does not load here: ${message}`, {
        cause,
      });
    }
    throw new InsulaError("session/create", `session: ONNX Runtime refused the model: ${message}`, { cause });
  }
  const inputs = session.inputMetadata.map(slot);
  const outputs = session.outputMetadata.map(slot);
  return {
    inputs,
    outputs,
    device,
    async run(feeds, { into = {}, outputs: wanted = outputs.map((o) => o.name) } = {}) {
      checkFeeds(inputs, feeds);
      const bound: Record<string, ort.Tensor> = {};
      for (const { name } of inputs) bound[name] = toOrt(feeds[name]!);
      const fetches: Record<string, ort.Tensor | null> = {};
      for (const name of wanted) fetches[name] = into[name] ? toOrt(into[name]) : null;
      let results: ort.InferenceSession.OnnxValueMapType;
      try {
        results = await session.run(bound, fetches);
      } catch (cause) {
        throw new InsulaError("session/run", `session: ${(cause as Error).message}`, { cause });
      }
      const out: Record<string, Tensor> = {};
      for (const name of wanted) out[name] = into[name] ?? fromOrt(results[name] as ort.Tensor);
      return out;
    },
    release: () => session.release(),
  };
}

function toOrtOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  const { device = "cpu", threads, disabledOptimizers = [], optimizedModelPath, profilePrefix } = options;
  const extra: Record<string, unknown> = {};
  if (disabledOptimizers.length > 0) {
    extra["optimization"] = { disable_specified_optimizers: disabledOptimizers.join(";") };
  }
  return {
    executionProviders: device === "cuda" ? ["cuda", "cpu"] : ["cpu"],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    extra,
    ...(threads ? { intraOpNumThreads: threads } : {}),
    ...(optimizedModelPath ? { optimizedModelFilePath: optimizedModelPath } : {}),
    ...(profilePrefix ? { enableProfiling: true, profileFilePrefix: profilePrefix } : {}),
  };
}

function slot(meta: ort.InferenceSession.ValueMetadata): Slot {
  if (!meta.isTensor) throw new InsulaError("session/create", `session: '${meta.name}' is not a tensor`);
  return { name: meta.name, type: meta.type as TensorType, shape: meta.shape.map(Number) };
}

function toOrt({ data, shape, type }: Tensor): ort.Tensor {
  return new ort.Tensor(type as "float32", data as Float32Array, shape as number[]);
}

function fromOrt(t: ort.Tensor): Tensor {
  return { data: t.data as Tensor["data"], shape: t.dims, type: t.type as TensorType };
}
