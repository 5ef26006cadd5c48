/**
 * @file What a session is, whatever runs it: models run over host tensors by name, or over device tensors that
 * are bound once.
 */
import type { Device } from "./device.js";
import type { DeviceTensor } from "./device-tensor.js";
import type { Tensor, TensorType } from "./tensor.js";

/**
 * `node`: onnxruntime-node's public API. `capi`: ONNX Runtime's C API on the same library, without copies; Linux.
 */
export type Runtime = "node" | "capi";

/** Options of CUDA's execution provider; each is ONNX Runtime's default when absent. */
export interface CudaOptions {
  /** Most bytes that the session's memory arena may take. Device tensors lie in an arena of their own. */
  memoryLimit?: number;
  /** How the arena grows: by powers of two (default), or by what is asked for, which wastes less and grows more often. */
  arenaExtend?: "next-power-of-two" | "same-as-requested";
  /** Multiply float32 matrices in TF32: about three decimal digits, several times as fast. */
  tf32?: boolean;
  /** How cuDNN's convolution algorithm is chosen; `exhaustive` measures them all on first use. */
  cudnnConvAlgoSearch?: "exhaustive" | "heuristic" | "default";
}

/** How ONNX Runtime runs a model: with all graph optimisations but those that are left out here. */
export interface SessionOptions {
  /** Default: `capi` on Linux, `node` elsewhere; the environment variable `INSULA_RUNTIME` overrides it. */
  runtime?: Runtime;
  /** `cpu` (default), `cuda` or `cuda:<number>`. Operators without a CUDA kernel run on the CPU. */
  device?: Device;
  /** CUDA's options; without effect on the CPU. The node runtime has none of them and refuses them. */
  cuda?: CudaOptions;
  /** Threads within an operator; 0 or absent: one per core. */
  threads?: number;
  /** Graph optimisations: `all` (default), `extended`, `basic` or `none`. */
  optimizationLevel?: "all" | "extended" | "basic" | "none";
  /** Names of graph optimisers to leave out, for example `CommonSubexpressionElimination`. */
  disabledOptimizers?: readonly string[];
  /**
   * Take memory from the one arena that all sessions with this option share: sessions that run in turns need it once.
   * `memory()` is then that arena's. CPU and capi runtime only; elsewhere without effect.
   */
  sharedArena?: boolean;
  /** Keep optimised graphs in this folder and load them from there: later sessions of the same model open faster. CPU only. */
  cacheDir?: string;
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

/** Bytes of a session's memory arena on its device. */
export interface SessionMemory {
  /** Handed out now: weights, and on CUDA the copies of the last feeds. */
  inUse: number;
  /** The most that was ever handed out at once. */
  peak: number;
  /** Taken from the system, handed out or not. */
  reserved: number;
  /** The largest single allocation. */
  largest: number;
  /** Number of allocations since the session was made. */
  allocations: number;
}

/** Where a node of the optimised graph runs. */
export interface NodePlacement {
  node: string;
  opType: string;
  /** ONNX Runtime's name of the execution provider, `CPUExecutionProvider` or `CUDAExecutionProvider`. */
  provider: string;
}

/** Inputs and outputs of a session tied to device tensors, for any number of runs. */
export interface Binding {
  /**
   * Run the model on the bound tensors.
   * @param feeds the inputs that are not bound.
   * @returns the outputs that are not bound, in host memory that the binding owns: the next run overwrites it.
   * @throws InsulaError `session/feed` for a missing, unknown or ill-shaped feed or a bound tensor that was
   *   released, `session/busy` while another run of this binding is in flight, `session/released` after release,
   *   `session/run` when ONNX Runtime fails.
   */
  run(feeds?: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  /** Untie the tensors; they stay. No run may be in flight. */
  release(): void;
}

/** A model ready to run. It holds native memory, outside of JavaScript's heap, until it is released. */
export interface Session {
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  readonly device: Device;
  /**
   * Run the model once.
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
  /**
   * Tie inputs and outputs to device tensors. The same tensor as input and output is updated in place, where the
   * graph allows it.
   * @throws InsulaError `session/feed` for an unknown name, a wrong type, shape or device, or a released tensor.
   */
  bind(tensors: {
    inputs?: Readonly<Record<string, DeviceTensor>>;
    outputs?: Readonly<Record<string, DeviceTensor>>;
  }): Binding;
  /**
   * The session's own memory: weights and intermediate values. Device tensors and what lies in host memory on a
   * CPU session (feeds, results) are not part of it. Undefined on the node runtime.
   */
  memory(): SessionMemory | undefined;
  /**
   * Which provider each node was given, as ONNX Runtime partitioned the graph: after the basic optimisations,
   * before fusions. Undefined on the node runtime.
   */
  placement(): NodePlacement[] | undefined;
  /** Free the native session and its bindings. No run may be in flight, and none can follow. */
  release(): Promise<void>;
}
