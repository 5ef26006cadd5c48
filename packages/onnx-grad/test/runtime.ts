/**
 * @file Serialised models in ONNX Runtime, on the CPU with every graph optimisation on. Only the tests need a
 * runtime; the package itself does not.
 */
import { createRequire } from "node:module";
import { type DType, type SerializedModel, serialize, type Value } from "../src/index.js";
import type { Dense } from "./evaluate.js";

interface OrtTensor {
  readonly data: ArrayLike<number | bigint>;
  readonly dims: readonly number[];
}

interface OrtModule {
  Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  InferenceSession: {
    create(model: Uint8Array, options: object): Promise<OrtSession>;
  };
}

interface OrtSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

const require = createRequire(import.meta.url);

/** Where `onnxruntime-node` lies. */
export const ortPath: string = require.resolve("onnxruntime-node");

const ort = require(ortPath) as OrtModule;

export interface RunOptions {
  disabledOptimizers?: readonly string[];
  /** Write the optimised model here. */
  optimizedModelPath?: string;
}

/** Results of a model by output name. */
export async function runModel(
  { bytes, inputs }: SerializedModel,
  feeds: ReadonlyMap<Value, Dense>,
  { disabledOptimizers = [], optimizedModelPath }: RunOptions = {},
): Promise<Map<string, Dense>> {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { optimization: { disable_specified_optimizers: disabledOptimizers.join(";") } },
    ...(optimizedModelPath && { optimizedModelFilePath: optimizedModelPath }),
  });
  const results = await session.run(
    Object.fromEntries(inputs.map((x) => [x.name, toTensor(x.dtype, feeds.get(x)!)])),
  );
  await session.release();
  return new Map(
    Object.entries(results).map(([name, { data, dims }]) => [
      name,
      { data: Float64Array.from(data as ArrayLike<number>, Number), shape: dims },
    ]),
  );
}

/** Serialise `outputs` and run them. */
export function runValues(
  outputs: readonly Value[],
  feeds: ReadonlyMap<Value, Dense>,
  options?: RunOptions,
): Promise<Dense[]> {
  const named = new Map(outputs.map((y, i) => [`output/${i}`, y]));
  return runModel(serialize(outputs[0]!.graph, named), feeds, options).then((results) =>
    [...named.keys()].map((name) => results.get(name)!),
  );
}

function toTensor(dtype: DType, { data, shape }: Dense): OrtTensor {
  switch (dtype) {
    case "float32":
      return new ort.Tensor(dtype, Float32Array.from(data), shape);
    case "int64":
      return new ort.Tensor(dtype, BigInt64Array.from(data, BigInt), shape);
    case "bool":
      return new ort.Tensor(dtype, Uint8Array.from(data), shape);
    default:
      throw new Error(`runModel: no feeds of type ${dtype}`);
  }
}
