/** @file Blocks of parameters between openpi's axes and PyTorch's. Every change is a permutation of elements. */
import { sizeOf } from "@insula/model-types";
import type { TorchRule } from "./names.js";

/** Shape of each of a rule's tensors in PyTorch, for a parameter of shape `shape` (one layer of it). */
export function torchShape(rule: TorchRule, shape: readonly number[]): number[] {
  const block = blockShape(rule, shape);
  switch (rule.layout) {
    case "as-is":
      // The position embedding has a leading 1 and biases their heads apart only in JAX.
      if (block.length === 3 && block[0] === 1) return block.slice(1);
      return block.length === 2 && isBias(rule) ? [sizeOf(block)] : [...block];
    case "heads": {
      const [n, d, h] = block as [number, number, number];
      return [n * h, d];
    }
    case "conv": {
      const [kh, kw, inputs, outputs] = block as [number, number, number, number];
      return [outputs, inputs, kh, kw];
    }
    case "transposed": {
      const rows = sizeOf(block.slice(0, rule.rowAxes ?? 1));
      return [sizeOf(block) / rows, rows];
    }
  }
}

const isBias = ({ names }: TorchRule): boolean => names[0]!.endsWith(".bias");

/** The part of a parameter that one tensor is. */
export function blockShape({ names, layout }: TorchRule, shape: readonly number[]): readonly number[] {
  if (layout === "heads" && shape.length === 4) return shape.slice(1);
  return names.length > 1 ? shape.slice(1) : shape;
}

/** PyTorch's elements → openpi's. */
export function fromTorch(rule: TorchRule, shape: readonly number[], data: Float32Array): Float32Array {
  const block = blockShape(rule, shape);
  switch (rule.layout) {
    case "as-is":
      return data;
    case "heads":
      return transpose(data, block[0]!, block[2]!, block[1]!);
    case "conv":
      return convAxes(data, [block[3]!, block[2]!, block[0]! * block[1]!]);
    case "transposed": {
      const [rows, columns] = torchShape(rule, shape) as [number, number];
      return transpose(data, 1, rows, columns);
    }
  }
}

/** openpi's elements → PyTorch's. */
export function toTorch(rule: TorchRule, shape: readonly number[], data: Float32Array): Float32Array {
  const block = blockShape(rule, shape);
  switch (rule.layout) {
    case "as-is":
      return data;
    case "heads":
      return transpose(data, block[0]!, block[1]!, block[2]!);
    case "conv":
      return convAxes(data, [block[0]! * block[1]!, block[2]!, block[3]!]);
    case "transposed": {
      const [rows, columns] = torchShape(rule, shape) as [number, number];
      return transpose(data, 1, columns, rows);
    }
  }
}

/** Side of the squares that are transposed at once, so that both ends stay in the cache. */
const TILE = 32;

/** `[batch, rows, columns]` → `[batch, columns, rows]`. */
export function transpose(data: Float32Array, batch: number, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let b = 0; b < batch; b++) {
    const base = b * rows * columns;
    for (let r0 = 0; r0 < rows; r0 += TILE) {
      const r1 = Math.min(rows, r0 + TILE);
      for (let c0 = 0; c0 < columns; c0 += TILE) {
        const c1 = Math.min(columns, c0 + TILE);
        for (let r = r0; r < r1; r++) {
          for (let c = c0; c < c1; c++) out[base + c * rows + r] = data[base + r * columns + c]!;
        }
      }
    }
  }
  return out;
}

/** `[a, b, c]` → `[c, b, a]`. */
function convAxes(data: Float32Array, [a, b, c]: [number, number, number]): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < a; i++) {
    for (let j = 0; j < b; j++) {
      for (let k = 0; k < c; k++) out[(k * b + j) * a + i] = data[(i * b + j) * c + k]!;
    }
  }
  return out;
}
