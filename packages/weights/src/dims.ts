/** @file Dimensions of a source's tensors, by name. */
import { InsulaError } from "@insula/model-types";
import type { WeightSource } from "./source.js";

/** Looks up dimensions by tensor name. */
export interface Dims {
  get(name: string, axis: number, rank: number): number;
  last(name: string): number;
  has(name: string): boolean;
  depth(prefix: string, suffix: string): number;
}

/**
 * The dimensions of a source. `get` throws InsulaError `weights/missing-tensor` for a tensor that is not there and
 * `weights/shape` for one of another rank.
 */
export function dimsOf({ path, tensors }: WeightSource): Dims {
  return {
    has: (name) => tensors.has(name),
    last: (name) => tensors.get(name)?.shape.at(-1) ?? 0,
    get(name, axis, rank) {
      const shape = tensors.get(name)?.shape;
      if (!shape) throw new InsulaError("weights/missing-tensor", `${path}: no tensor '${name}'`);
      if (shape.length !== rank) {
        throw new InsulaError(
          "weights/shape",
          `${path}: ${name}: expected ${rank} axes, found [${shape.join(", ")}]`,
        );
      }
      return shape[axis]!;
    },
    depth(prefix, suffix) {
      // Counted, not taken from the largest number: a layer that is left out is then found missing.
      let depth = 0;
      for (const name of tensors.keys()) if (name.startsWith(prefix) && name.endsWith(suffix)) depth++;
      return depth;
    },
  };
}
