/**
 * @file What a session is, whatever runs it. Feeds and results are host tensors by name.
 */
import type { Tensor, TensorType } from "./tensor.js";

/**
 * Where a session computes. On `cuda`, operators without a CUDA kernel run on the CPU; feeds and results are
 * host tensors on both.
 */
export type Device = "cpu" | "cuda";

/**
 * `node`: onnxruntime-node's public API. `capi`: ONNX Runtime's C API on the same library, without copies; Linux.
 */
export type Runtime = "node" | "capi";

/** How ONNX Runtime runs a model: with all graph optimisations but those that are left out here. */
export interface SessionOptions {
  /** Default: `capi` on Linux, `node` elsewhere; the environment variable `INSULA_RUNTIME` overrides it. */
  runtime?: Runtime;
  /** `cpu` (default) or `cuda`. */
  device?: Device;
  /** Threads within an operator; 0 or absent: one per core. */
  threads?: number;
  /** Names of graph optimisers to leave out, for example `CommonSubexpressionElimination`. */
  disabledOptimizers?: readonly string[];
  /** Save the optimised graph here, to be looked at. */
  optimizedModelPath?: string;
  /** Write an operator profile with this file prefix. */
  profilePrefix?: string;
}

/** An input or output as the model declares it. */
export interface Slot {
  name: string;
  type: TensorType;
  shape: readonly number[];
}

/** A model ready to run. It holds native memory, outside of JavaScript's heap, until it is released. */
export interface Session {
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  readonly device: Device;
  /**
   * Run the model.
   * @param feeds one tensor per input.
   * @param options.into tensors to write outputs into, by output name; they may be feeds of the same run where the
   *   graph allows it (an update in place).
   * @param options.outputs names of the outputs wanted; default all.
   * @returns one tensor per requested output: those of `into`, and fresh ones for the others.
   * @throws InsulaError `session/feed` for a missing or unknown feed or a wrong type or shape, `session/run`
   *   when ONNX Runtime fails.
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    options?: { into?: Readonly<Record<string, Tensor>>; outputs?: readonly string[] },
  ): Promise<Record<string, Tensor>>;
  /** Free the native session. No run may be in flight, and none can follow. */
  release(): Promise<void>;
}
