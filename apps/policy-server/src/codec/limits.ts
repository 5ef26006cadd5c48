/** @file What a message may cost: bounds that hold before anything is allocated. */
import { InsulaError } from "@insula/model-types";

/** Bounds of one message. */
export interface CodecLimits {
  /** Maps and arrays inside one another; default 16. */
  maxDepth: number;
  /** Values in all, array elements and map entries included (an ndarray's bytes are one); default 65536. */
  maxValues: number;
}

export const DEFAULT_LIMITS: CodecLimits = { maxDepth: 16, maxValues: 65536 };

/** An error of the codec, with the code `codec/<problem>`. */
export function codecError(problem: string, message: string, cause?: unknown): InsulaError {
  return new InsulaError(`codec/${problem}`, `message: ${message}`, cause === undefined ? {} : { cause });
}
