/**
 * @file Between files (layers stacked, openpi's axes) and graphs (one tensor per layer, GEMM axes).
 */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import type { ParamTree } from "../train-session.js";
import { type ParamSpec, stackedShape } from "./spec.js";

type F32 = NdArray<Float32Array>;

/**
 * File tensors → graph tensors (by `ParamSpec.name`).
 * @throws InsulaError `params/missing` or `params/shape`, naming the tensor; `params/unexpected` for tensors
 *   that the model does not have.
 */
export function toGraphParams(specs: readonly ParamSpec[], tree: ParamTree): Map<string, F32> {
  const out = new Map<string, F32>();
  const known = new Set(specs.map((s) => s.path));
  const extra = [...tree.keys()].filter((path) => !known.has(path));
  if (extra.length > 0) {
    throw new InsulaError(
      "params/unexpected",
      `parameters: the model has no ${extra.slice(0, 5).join(", ")}${extra.length > 5 ? ` and ${extra.length - 5} more` : ""}`,
    );
  }
  for (const spec of specs) {
    const tensor = tree.get(spec.path);
    const expected = stackedShape(spec);
    if (!tensor)
      throw new InsulaError(
        "params/missing",
        `parameters: '${spec.path}' [${expected.join(", ")}] is missing`,
      );
    if (tensor.shape.join() !== expected.join()) {
      throw new InsulaError(
        "params/shape",
        `parameters: '${spec.path}': expected [${expected.join(", ")}], found [${tensor.shape.join(", ")}]`,
      );
    }
    const count = sizeOf(spec.fileShape);
    const start = (spec.layer ?? 0) * count;
    out.set(spec.name, {
      data: permute(tensor.data.subarray(start, start + count), spec.fileShape, spec.perm),
      shape: spec.shape,
    });
  }
  return out;
}

/** Graph tensors → file tensors. Parameters without a tensor are left out, all layers of a stack together. */
export function toFileParams(specs: readonly ParamSpec[], tensors: ReadonlyMap<string, NdArray>): ParamTree {
  const tree: ParamTree = new Map();
  for (const spec of specs) {
    const tensor = tensors.get(spec.name);
    if (!tensor) continue;
    const count = sizeOf(spec.fileShape);
    let stacked = tree.get(spec.path);
    if (!stacked) {
      const shape = stackedShape(spec);
      stacked = { data: new Float32Array(sizeOf(shape)), shape };
      tree.set(spec.path, stacked);
    }
    const permuted = spec.perm.map((axis) => spec.fileShape[axis]!);
    const back = spec.perm.map((_, axis) => spec.perm.indexOf(axis));
    stacked.data.set(permute(tensor.data as Float32Array, permuted, back), (spec.layer ?? 0) * count);
  }
  return tree;
}

/** `data` of `shape` with its axes in the order `perm`, copied. */
export function permute(data: Float32Array, shape: readonly number[], perm: readonly number[]): Float32Array {
  if (perm.every((axis, i) => axis === i)) return data.slice();
  const out = new Float32Array(data.length);
  const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
  const outShape = perm.map((axis) => shape[axis]!);
  const outStrides = perm.map((axis) => strides[axis]!);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += outStrides[axis]!;
      if (++index[axis]! < outShape[axis]!) break;
      from -= outStrides[axis]! * outShape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}
