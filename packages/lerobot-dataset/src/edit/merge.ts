/** @file Several datasets of the same features as one. */
import { InsulaError } from "@insula/model-types";
import { FORMAT_KEYS } from "../write/video-files.js";
import { copyEpisodes, type EditOptions, type EditResult } from "./copy-episodes.js";
import { inNewFolder } from "./new-folder.js";
import { openSource, type Source } from "./source.js";
import { targetFeatures } from "./target-features.js";

/**
 * Write the episodes of all `sources`, in this order, as v3.0 into the new folder `out`. Episodes are numbered anew.
 * The first source keeps its task indices, tasks of the others are found by their text or added. Video files are copied
 * as they are; where codecs differ, `encode` makes them one.
 * @throws InsulaError `dataset/merge` naming the feature, rate or robot that differs, `dataset/exists`, …
 */
export async function mergeLeRobotDatasets(
  sources: readonly string[],
  out: string,
  options: EditOptions = {},
): Promise<EditResult> {
  if (sources.length < 2) {
    throw new InsulaError("dataset/merge", `expected at least two datasets, found ${sources.length}`);
  }
  const opened: Source[] = [];
  try {
    for (const source of sources) opened.push(await openSource(source, options));
    const [first, ...others] = opened as [Source, ...Source[]];
    for (const other of others) checkSame(first, other, options);
    const features = targetFeatures(first.dataset.features, options);
    const selections = opened.map((source) => ({ source, episodes: source.dataset.episodes }));
    return await inNewFolder(out, (dir) => copyEpisodes(dir, selections, features, options));
  } finally {
    for (const { dataset } of opened) await dataset.close();
  }
}

function checkSame(first: Source, other: Source, options: EditOptions): void {
  const [a, b] = [first.dataset, other.dataset];
  const differ = (what: string, expected: unknown, found: unknown): void => {
    const [expectedText, foundText] = [JSON.stringify(expected), JSON.stringify(found)];
    if (expectedText === foundText) return;
    throw new InsulaError(
      "dataset/merge",
      `${what}: expected ${expectedText ?? "no such feature"} as in ${a.root}, found ${foundText ?? "none"} in ${b.root}`,
    );
  };
  differ("fps", a.fps, b.fps);
  differ("robot_type", a.info.robotType, b.info.robotType);
  const [expected, found] = [a, b].map(({ features }) => targetFeatures(features, options)) as [
    ReturnType<typeof targetFeatures>,
    ReturnType<typeof targetFeatures>,
  ];
  for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
    if (!expected[name] || !found[name]) differ(`feature '${name}'`, expected[name], found[name]);
    for (const key of ["dtype", "shape", "names"] as const)
      differ(`feature '${name}': ${key}`, expected[name]![key] ?? null, found[name]![key] ?? null);
    for (const key of FORMAT_KEYS) {
      const [x, y] = [expected[name]!.info?.[key], found[name]!.info?.[key]];
      if (x !== undefined && y !== undefined) differ(`feature '${name}': ${key}`, x, y);
    }
  }
}
