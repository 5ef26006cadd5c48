/** @file Rename a dataset's keys to the ones a robot's transforms expect (openpi `RepackTransform`). */
import type { Leaf, Sample } from "@insula/model-types";
import { named, type Transform } from "./transform.js";
import { flatten, missingKey, type Tree } from "./tree.js";

/** Output key → flat input key (`"observation/state"`), nested as the output shall be. */
export type RepackStructure = Tree<string>;

/**
 * Build a sample of the form `structure`, each string replaced by the input leaf of that flat key; keys that
 * are not named are dropped. Output keys that contain `/` stay flat. Upstream: `RepackTransform(structure)`.
 *
 * `optional` lists input keys that may be absent: their outputs are then left out. `actions_is_pad` belongs
 * there, so that the padding of the last chunks of an episode reaches the loss.
 * @throws InsulaError `transforms/missing-key` naming the key and what there is.
 */
export function repackTransform(
  structure: RepackStructure,
  options: { optional?: readonly string[] } = {},
): Transform {
  const optional = new Set(options.optional);
  return named("repackTransform", (sample) => {
    const flat = flatten(sample);
    const build = (node: RepackStructure): Sample => {
      const entries: [string, Leaf | Sample][] = [];
      for (const [key, source] of Object.entries(node)) {
        if (typeof source !== "string") entries.push([key, build(source)]);
        else if (Object.hasOwn(flat, source)) entries.push([key, flat[source]!]);
        else if (!optional.has(source)) throw missingKey("repackTransform", source, Object.keys(flat));
      }
      return Object.fromEntries(entries);
    };
    return build(structure);
  });
}
