/**
 * @file Which parameters are not trained: those whose path a pattern matches as a whole, as openpi's `PathRegex` does.
 */
import { matchPaths } from "./path-patterns.js";
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
  return matchPaths(specs, freeze, "freeze");
}
