/**
 * @file Adapters into weights: W + scale·A·B is a plain weight, for whatever knows no adapters. Sums are float64 and
 * rounded once.
 */
import { InsulaError, type ModelConfig } from "@insula/model-types";
import type { ParamTree } from "../train-session.js";
import { type Adapter, findAdapters } from "./lora.js";

/** A run of rows of a weight in its file layout, all but the last axis taken as one. */
export interface WeightRows {
  /** Elements from the start of row `first` on; whole rows. Changed in place. */
  data: Float32Array;
  first: number;
  columns: number;
  /** Rows of one matrix: of one head, one part, one layer. */
  perMatrix: number;
}

/**
 * Add an adapter's product to some rows of its weight.
 * @param a `[rows, rank]`: the same rows of A, which has the weight's axes but for the last
 * @param b the matrix `[rank, columns]` of B that belongs to matrix number `index` of the weight
 */
export function mergeRows(
  { data, first, columns, perMatrix }: WeightRows,
  { rank, scale }: Pick<Adapter, "rank" | "scale">,
  a: Float32Array,
  b: (index: number) => ArrayLike<number>,
): void {
  const sum = new Float64Array(columns);
  for (let row = 0; row < data.length / columns; row++) {
    const up = b(Math.floor((first + row) / perMatrix));
    sum.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = a[row * rank + r]!;
      for (let c = 0, at = r * columns; c < columns; c++, at++) sum[c]! += factor * up[at]!;
    }
    for (let c = 0, at = row * columns; c < columns; c++, at++) data[at]! += scale * sum[c]!;
  }
}

/** Sum of `count` matrices of `size` elements each. */
export function sumMatrices(matrices: Float32Array, count: number, size: number): Float64Array {
  const sum = new Float64Array(size);
  for (let m = 0; m < count; m++) for (let i = 0; i < size; i++) sum[i]! += matrices[m * size + i]!;
  return sum;
}

/**
 * The parameters of the same model without adapters (`withoutLora`): new arrays where there was one, the same
 * elsewhere.
 * @throws InsulaError `params/missing` or `params/shape`, naming the tensor.
 */
export function mergeLora(params: ParamTree, config: ModelConfig): ParamTree {
  const adapters = findAdapters(config);
  const factors = new Set([...adapters.values()].flatMap(({ a, b }) => [a, b]));
  const merged: ParamTree = new Map();
  for (const [path, tensor] of params) {
    if (factors.has(path)) continue;
    const adapter = adapters.get(path);
    merged.set(path, adapter ? mergeOne(params, adapter) : tensor);
  }
  return merged;
}

function mergeOne(params: ParamTree, adapter: Adapter): { data: Float32Array; shape: readonly number[] } {
  const { weight, a, b, rank, sumsHeads } = adapter;
  const { data, shape } = params.get(weight)!;
  const [lead, rows, columns] = [shape.slice(0, -2), shape.at(-2)!, shape.at(-1)!];
  const get = (path: string, expected: readonly number[]) => {
    const found = params.get(path);
    if (!found) throw new InsulaError("params/missing", `parameters: '${path}' [${expected}] is missing`);
    if (found.shape.join() === expected.join()) return found.data;
    throw new InsulaError(
      "params/shape",
      `parameters: '${path}': expected [${expected.join(", ")}], found [${found.shape.join(", ")}]`,
    );
  };
  const down = get(a, [...lead, rows, rank]);
  const up = get(b, [...lead, rank, columns]);
  const merged = { data: data.slice(), first: 0, columns, perMatrix: rows };
  mergeRows(merged, adapter, down, matrixOf(up, rank * columns, sumsHeads ? lead.at(-1)! : 1));
  return { data: merged.data, shape };
}

/**
 * Matrix number `index` of B, or the sum over its `heads`: matrices of one layer follow each other.
 * The last one is kept, rows come in order.
 */
export function matrixOf(
  b: Float32Array,
  size: number,
  heads: number,
): (index: number) => Float32Array | Float64Array {
  let last: { layer: number; sum: Float64Array } | undefined;
  return (index) => {
    if (heads === 1) return b.subarray(index * size, (index + 1) * size);
    const layer = Math.floor(index / heads);
    if (last?.layer !== layer) {
      const all = b.subarray(layer * heads * size, (layer + 1) * heads * size);
      last = { layer, sum: sumMatrices(all, heads, size) };
    }
    return last.sum;
  };
}
