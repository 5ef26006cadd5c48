/** @file What becomes of generated tokens that hold no actions, for the tokenizers whose codes have one length. */
import { InsulaError } from "@insula/model-types";
import type { ChunkShape } from "./action-codec.js";
import {
  type Decoded,
  MAX_COEFFICIENTS,
  type NotDecoded,
  type OnDecodeError,
} from "./fast-action-tokenizer.js";

/** The shape to decode to, and what a failure becomes; `upstream` is `zeros` here. */
export interface ExtractOptions extends ChunkShape {
  onError?: OnDecodeError;
}

/** @throws InsulaError `fast/shape` unless both are positive integers and a chunk of them fits into memory. */
export function checkShape(caller: string, { horizon, dim }: ChunkShape): ChunkShape {
  const positive = Number.isInteger(horizon) && Number.isInteger(dim) && horizon >= 1 && dim >= 1;
  if (positive && horizon * dim <= MAX_COEFFICIENTS) return { horizon, dim };
  throw new InsulaError(
    "fast/shape",
    `${caller}: expected a horizon and a dim with at most ${MAX_COEFFICIENTS} numbers together, found ${horizon} and ${dim}`,
  );
}

/**
 * A failure in the form that `onError` asks for; see `DecodeOptions.onError`.
 * @throws InsulaError `fast/<status>` when it is `throw`, the default.
 */
export function notExtracted<F extends string>(
  caller: string,
  status: F,
  message: string,
  { horizon, dim, onError = "throw" }: ExtractOptions,
): Decoded<F> | NotDecoded<F> {
  if (onError === "throw") throw new InsulaError(`fast/${status}`, `${caller}: ${message}`);
  if (onError === "status") return { actions: null, status, message };
  return { actions: { data: new Float64Array(horizon * dim), shape: [horizon, dim] }, status, message };
}
