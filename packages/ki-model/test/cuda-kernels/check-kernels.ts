/**
 * @file Which nodes of a serialised model an execution provider has no kernel for. ONNX Runtime computes such a
 * node elsewhere: on CUDA it copies the node's inputs to the host and its results back, in every step.
 */
import { readFileSync } from "node:fs";
import { type ModelNode, readModel } from "./read-model.js";

export type Provider = "cpu" | "cuda";

interface Kernel {
  /** First and last opset version of the operator that the kernel is for. */
  versions: [number, number | null];
  /** Type parameter → element types, separated by blanks. */
  types: Record<string, string>;
}

interface Operator {
  /** The version of the operator that models of `opset` use. */
  since: number;
  /** Type parameter, or the fixed type, of each input and output. */
  inputs: string[];
  outputs: string[];
  /** Whether the last input or output stands for any number of them. */
  variadic?: boolean;
  cpu: Kernel[];
  cuda: Kernel[];
}

/** Facts of one ONNX Runtime release; `cuda-kernels/make_table.py` says how they were taken. */
export const KERNELS = JSON.parse(
  readFileSync(new URL("../operator-kernels.json", import.meta.url), "utf8"),
) as { source: string; version: string; opset: number; operators: Record<string, Operator> };

/**
 * Inputs that the CUDA provider's kernels read on the host, by operator. As initializers they are there; computed
 * by the graph they would make every step wait for the device.
 */
const HOST_INPUTS: Record<string, readonly number[]> = {
  Reshape: [1],
  Expand: [1],
  Split: [1],
  Slice: [1, 2, 3, 4],
  ReduceSum: [1],
  ReduceMean: [1],
  ReduceMax: [1],
  ReduceMin: [1],
  CumSum: [1],
  Squeeze: [1],
  Unsqueeze: [1],
  Tile: [1],
  Pad: [1, 2, 3],
  ConstantOfShape: [0],
  Range: [0, 1, 2],
  TopK: [1],
};

/** Operators whose results ONNX Runtime keeps on the host: a static graph needs none. */
const ON_HOST: ReadonlySet<string> = new Set(["Shape", "Size", "NonZero", "Range", "ConstantOfShape"]);

/** An operator, its element types and what is wrong: `Max(int32, int32): …`, once each, with a node that has it. */
export interface KernelProblem {
  op: string;
  types: string[];
  problem: string;
  /** The first node. */
  node: string;
  /** How many nodes. */
  count: number;
}

/** Check every node of a model against a provider's kernels. Empty when the whole model runs there. */
export function checkKernels(modelBytes: Uint8Array, provider: Provider): KernelProblem[] {
  const model = readModel(modelBytes);
  const problems = new Map<string, KernelProblem>();
  if (model.opset !== KERNELS.opset)
    throw new Error(`the model has opset ${model.opset}, the table of kernels is of opset ${KERNELS.opset}`);
  const types = new Map(model.types);
  for (const node of model.nodes) {
    const inputTypes = node.inputs.map((name) => (name === "" ? "" : (types.get(name) ?? "unknown")));
    for (const problem of checkNode(node, inputTypes, types, model.initializers, provider)) {
      const key = `${node.op}(${inputTypes.join()}): ${problem}`;
      const known = problems.get(key);
      if (known) known.count++;
      else problems.set(key, { op: node.op, types: inputTypes, problem, node: node.name, count: 1 });
    }
  }
  return [...problems.values()];
}

/** The problems of one node; the types of its outputs are added to `types`. */
function checkNode(
  node: ModelNode,
  inputTypes: readonly string[],
  types: Map<string, string>,
  initializers: ReadonlySet<string>,
  provider: Provider,
): string[] {
  const operator = KERNELS.operators[node.op];
  if (!operator) return ["not in the table of kernels"];
  const bound = new Map<string, string>();
  inputTypes.forEach((type, i) => {
    const parameter = operator.inputs[operator.variadic ? Math.min(i, operator.inputs.length - 1) : i];
    if (type !== "" && parameter !== undefined) bound.set(parameter, type);
  });
  if (node.to !== undefined) bound.set(operator.outputs[0]!, node.to); // Cast
  if (node.op === "LayerNormalization") bound.set("U", "float"); // mean and deviation, unless stash_type says otherwise
  node.outputs.forEach((name, i) => {
    const parameter = operator.outputs[operator.variadic ? Math.min(i, operator.outputs.length - 1) : i]!;
    // A fixed type stands for itself.
    if (name !== "") types.set(name, bound.get(parameter) ?? parameter);
  });
  const problems: string[] = [];
  const has = operator[provider].some((kernel) => accepts(kernel, bound));
  if (!has) problems.push(`no ${provider} kernel`);
  if (provider === "cuda") {
    if (ON_HOST.has(node.op)) problems.push("its result is kept on the host");
    for (const i of HOST_INPUTS[node.op] ?? []) {
      const name = node.inputs[i];
      if (name && !initializers.has(name)) problems.push(`input ${i} is read on the host, but is computed`);
    }
  }
  return problems;
}

const accepts = ({ types }: Kernel, bound: ReadonlyMap<string, string>): boolean =>
  Object.entries(types).every(([parameter, allowed]) => {
    const type = bound.get(parameter);
    return type === undefined || allowed.split(" ").includes(type);
  });

/** One line per problem. */
export function problemText({ op, types, problem, node, count }: KernelProblem): string {
  return `${op}(${types.join(", ")}): ${problem} (${count} nodes, the first is ${node})`;
}

/**
 * Operators of a model that have a kernel for `float` but none for `type`: what mixed precision has to keep in
 * float32.
 */
export function lacking(modelBytes: Uint8Array, provider: Provider, type: "float16" | "bfloat16"): string[] {
  const found = new Set<string>();
  for (const { op } of readModel(modelBytes).nodes) {
    const kernels = KERNELS.operators[op]?.[provider] ?? [];
    const has = (wanted: string) =>
      kernels.some((k) => Object.values(k.types).some((allowed) => allowed.split(" ").includes(wanted)));
    if (has("float") && !has(type)) found.add(op);
  }
  return [...found].sort();
}
