/** @file An error as a test compares it: its code, or `code: message`. */
import type { InsulaError } from "@insula/model-types";

/** The code of what `run` throws, or `none`. */
export const codeOf = (run: () => unknown): string => thrown(run)?.code ?? "none";

/** Code and message of what `run` throws, or `none`. */
export function errorOf(run: () => unknown): string {
  const error = thrown(run);
  return error ? `${error.code}: ${error.message}` : "none";
}

function thrown(run: () => unknown): InsulaError | undefined {
  try {
    run();
  } catch (error) {
    return error as InsulaError;
  }
  return undefined;
}
