/**
 * @file Which parameters are not trained: those whose path a pattern matches as a whole, as openpi's `PathRegex` does.
 */
import { InsulaError } from "@insula/model-types";
import type { ParamSpec } from "./spec.js";

/**
 * A test for frozen paths.
 * @param freeze regular expressions, each for a whole path: `.*llm.*` is the language model and its expert
 * @throws InsulaError `model/freeze` for a pattern that is no regular expression or that no parameter matches
 */
export function frozenPaths(
  specs: readonly ParamSpec[],
  freeze: readonly string[] = [],
): (path: string) => boolean {
  const patterns = freeze.map((source) => {
    const pattern = compile(source);
    if (specs.some(({ path }) => pattern.test(path))) return pattern;
    throw new InsulaError(
      "model/freeze",
      `freeze: '${source}' matches none of the parameters, for example not '${specs[0]!.path}'; a pattern is ` +
        "compared with the whole path",
    );
  });
  return (path) => patterns.some((pattern) => pattern.test(path));
}

function compile(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})$`, "u");
  } catch (cause) {
    throw new InsulaError("model/freeze", `freeze: '${source}': ${(cause as Error).message}`, { cause });
  }
}
