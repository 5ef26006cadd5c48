/**
 * @file Parameters by the patterns of their paths, compared as a whole, as openpi's `PathRegex` does.
 */
import { InsulaError } from "@insula/model-types";
import type { ParamSpec } from "./spec.js";

/**
 * A test for the paths that one of `patterns` matches.
 * @param specs what there is to match; undefined: whatever the patterns match
 * @param patterns regular expressions, each for a whole path: `.*llm.*` is the language model and its expert
 * @param option the option that holds them, for messages
 * @throws InsulaError `model/<option>` for a pattern that is no regular expression or that matches nothing
 */
export function matchPaths(
  specs: readonly Pick<ParamSpec, "path">[] | undefined,
  patterns: readonly string[] = [],
  option: string,
): (path: string) => boolean {
  const compiled = patterns.map((source) => {
    const pattern = compile(source, option);
    if (!specs || specs.some(({ path }) => pattern.test(path))) return pattern;
    throw new InsulaError(
      `model/${option}`,
      `${option}: '${source}' matches none of the parameters, for example not '${specs[0]!.path}'; a pattern is ` +
        "compared with the whole path",
    );
  });
  return (path) => compiled.some((pattern) => pattern.test(path));
}

function compile(source: string, option: string): RegExp {
  try {
    return new RegExp(`^(?:${source})$`, "u");
  } catch (cause) {
    throw new InsulaError(`model/${option}`, `${option}: '${source}': ${(cause as Error).message}`, {
      cause,
    });
  }
}
