/** @file An error as a test compares it: `code: message`. */
import type { InsulaError } from "@insula/model-types";

/** What `run` throws, or `none`. */
export function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return `${(error as InsulaError).code}: ${(error as Error).message}`;
  }
  return "none";
}
