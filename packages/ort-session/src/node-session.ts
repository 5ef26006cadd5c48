/**
 * @file Sessions over onnxruntime-node's public API. Works wherever that package works; results are copied to
 * the host.
 */
import { InsulaError } from "@insula/model-types";
import * as ort from "onnxruntime-node";
import { checkFeeds } from "./check-feeds.js";
import { parseDevice } from "./device.js";
import { ELEMENT_TYPE, elementTypeName } from "./element-types.js";
import { bindNode } from "./node-binding.js";
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
  const ortOptions = toOrtOptions(options);
  let session: ort.InferenceSession;
  try {
    session = await (typeof model === "string"
      ? ort.InferenceSession.create(model, ortOptions)
      : ort.InferenceSession.create(model, ortOptions));
  } catch (cause) {
    const { message } = cause as Error;
    // The provider's own library, or one of CUDA's, is missing, or the device is.
    if (parseDevice(device).type === "cuda" && /providers_(shared|cuda)|CUDA|cudnn/i.test(message)) {
      throw new InsulaError("session/device", `session: device '${device}' does not load here: ${message}`, {
        cause,
      });
    }
    const unsupported = /Unsupported data type: (\d+)/.exec(message);
    if (unsupported) {
      const number = Number(unsupported[1]);
      throw new InsulaError(
        "session/create",
        `session: the model exchanges tensors of type ${elementTypeName(number) ?? `number ${number}`}, which the ` +
          "node runtime cannot; use the capi runtime",
        { cause },
      );
    }
    throw new InsulaError("session/create", `session: ONNX Runtime refused the model: ${message}`, { cause });
  }
  let slots: Pick<Session, "inputs" | "outputs">;
  try {
    slots = { inputs: session.inputMetadata.map(slot), outputs: session.outputMetadata.map(slot) };
  } catch (error) {
    await session.release();
    throw error;
  }
  const { inputs, outputs } = slots;
  let released = false;
  const alive = () => {
    if (released) throw new InsulaError("session/released", "session: it was released");
  };
  const run: Session["run"] = async (
    feeds,
    { into = {}, outputs: wanted = outputs.map((o) => o.name) } = {},
  ) => {
    alive();
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
  };
  return {
    inputs,
    outputs,
    device,
    run,
    bind({ inputs: boundInputs = {}, outputs: boundOutputs = {} }) {
      alive();
      return bindNode({ ...slots, device, run }, { inputs: boundInputs, outputs: boundOutputs });
    },
    memory: () => undefined,
    placement: () => undefined,
    async release() {
      if (released) return;
      released = true;
      await session.release();
    },
  };
}

const LEVELS = { none: "disabled", basic: "basic", extended: "extended", all: "all" } as const;

function toOrtOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  const { device = "cpu", threads, disabledOptimizers = [], optimizedModelPath, profilePrefix } = options;
  const { type, index } = parseDevice(device);
  if (type === "cuda") refuseCudaOptions(options);
  const extra: Record<string, unknown> = {};
  if (disabledOptimizers.length > 0) {
    extra["optimization"] = { disable_specified_optimizers: disabledOptimizers.join(";") };
  }
  return {
    executionProviders: type === "cuda" ? [{ name: "cuda", deviceId: index }, "cpu"] : ["cpu"],
    graphOptimizationLevel: LEVELS[options.optimizationLevel ?? "all"],
    logSeverityLevel: 3,
    enableMemPattern: false,
    extra,
    ...(threads ? { intraOpNumThreads: threads } : {}),
    ...(optimizedModelPath ? { optimizedModelFilePath: optimizedModelPath } : {}),
    ...(profilePrefix ? { enableProfiling: true, profileFilePrefix: profilePrefix } : {}),
  };
}

/** Of CUDA's settings onnxruntime-node passes on the device's number alone, and drops the others silently. */
function refuseCudaOptions({ cuda = {} }: SessionOptions): void {
  const named = Object.entries(cuda).find(([, value]) => value !== undefined);
  if (!named) return;
  throw new InsulaError(
    "session/device",
    `session: cuda.${named[0]}: the node runtime cannot set it; use the capi runtime or leave it out`,
  );
}

function slot(meta: ort.InferenceSession.ValueMetadata): Slot {
  if (!meta.isTensor) throw new InsulaError("session/create", `session: '${meta.name}' is not a tensor`);
  if (!Object.hasOwn(ELEMENT_TYPE, meta.type)) {
    throw new InsulaError(
      "session/create",
      `session: '${meta.name}' has an element type that is not exchanged: ${meta.type}`,
    );
  }
  return { name: meta.name, type: meta.type as TensorType, shape: meta.shape.map(Number) };
}

function toOrt({ data, shape, type }: Tensor): ort.Tensor {
  return new ort.Tensor(type as "float32", data as Float32Array, shape as number[]);
}

function fromOrt(t: ort.Tensor): Tensor {
  return { data: t.data as Tensor["data"], shape: t.dims, type: t.type as TensorType };
}
