/** @file Every problem of a dataset, as a stream: metadata, then rows, then action jumps, then videos and images. */

import { InsulaError } from "@insula/model-types";
import { DEFAULT_FEATURES, type Features, imageSize, isCamera, isNumeric } from "../features.js";
import type { DownloadOptions } from "../hub/download-dataset.js";
import { resolveDataset } from "../hub/resolve.js";
import { filesOf } from "../read/columns.js";
import { dimLabel } from "../read/dim-names.js";
import type { Episode } from "../read/episodes.js";
import type { DatasetInfo } from "../read/info.js";
import { type DatasetRoot, datasetRoot } from "../read/root.js";
import { checkDataFile } from "./data-files.js";
import { checkEpisodeRanges } from "./episode-ranges.js";
import { checkImages } from "./images.js";
import { isAction, type StepSizes } from "./jumps.js";
import { checkMetadata } from "./metadata.js";
import { type Problem, problemOf } from "./problem.js";
import {
  type CellCheck,
  counterCheck,
  measureSteps,
  plainCheck,
  stepsCheck,
  taskCheck,
  timestampCheck,
} from "./row-checks.js";
import { checkVideo } from "./videos.js";

/** How thoroughly. */
export interface ValidateOptions {
  /** Decode every frame and image, too. Default: video files are opened, and what they say is checked. */
  decode?: boolean;
  /**
   * An action step of more robust deviations than this, across a quarter of the range, is a jump. Default: 30; 0:
   * none is.
   */
  jumpDeviations?: number;
  /** Follow links out of the folder; see `openLeRobotDataset`. */
  followLinks?: boolean;
  /** Where a dataset that is named and is no folder comes from. */
  hub?: DownloadOptions;
}

/**
 * Find what is wrong in a dataset. Memory does not grow with it: rows are read a row group at a time.
 * @throws InsulaError only for what is not the dataset's fault: `hub/…`, `dataset/no-video-decoder`.
 */
export async function* validateLeRobotDataset(
  source: string,
  options: ValidateOptions = {},
): AsyncGenerator<Problem> {
  const { decode = false, jumpDeviations = 30, followLinks = false } = options;
  const root = await datasetRoot(await resolveDataset(source, options.hub), { followLinks });
  const { info, episodes, tasks, problems } = await checkMetadata(root);
  yield* problems;
  if (!info) return;
  if (info.codebaseVersion === "v3.0" && episodes.length > 0)
    yield* checkEpisodeRanges(root, episodes, info.fps);
  const steps = new Map<string, StepSizes[]>();
  const checks = cellChecks(info, tasks, jumpDeviations > 0 ? steps : undefined);
  const files = filesOf(episodes);
  const required = Object.keys(info.features).filter((name) => info.features[name]!.dtype !== "video");
  for (const [path, inFile] of files) yield* checkDataFile(root, path, inFile, checks, required);

  const jumps = jumpChecks(info.features, steps, jumpDeviations);
  if (jumps.size > 0) {
    for (const [path, inFile] of files) yield* checkDataFile(root, path, inFile, jumps);
  }
  for (const [camera, feature] of Object.entries(info.features).filter(([, f]) => isCamera(f))) {
    try {
      imageSize(camera, feature);
    } catch (error) {
      if (!(error instanceof InsulaError)) throw error;
      yield problemOf(error, root.path, "meta/info.json");
      continue;
    }
    if (feature.dtype === "image") {
      if (decode) yield* checkImages(root, camera, feature, episodes);
      continue;
    }
    yield* checkVideos(root, info, camera, episodes, decode);
  }
}

async function* checkVideos(
  root: DatasetRoot,
  { features, fps }: DatasetInfo,
  camera: string,
  episodes: readonly Episode[],
  decode: boolean,
): AsyncGenerator<Problem> {
  const files = new Map<string, Episode[]>();
  for (const episode of episodes) {
    const { path } = episode.videos[camera]!;
    const inFile = files.get(path);
    if (inFile) inFile.push(episode);
    else files.set(path, [episode]);
  }
  for (const [path, inFile] of files) {
    yield* checkVideo(root, path, camera, features[camera]!, inFile, { fps, decode, features });
  }
}

/** A check per feature; those of actions measure their steps into `steps`. */
function cellChecks(
  { features, fps }: DatasetInfo,
  tasks: ReadonlyMap<number, string> | undefined,
  steps: Map<string, StepSizes[]> | undefined,
): Map<string, CellCheck> {
  const checks = new Map<string, CellCheck>();
  for (const [name, declared] of Object.entries({ ...DEFAULT_FEATURES, ...features })) {
    // Older datasets leave frame_index and others out of info.json, and some out of the files.
    const feature = features[name] ?? declared;
    if (isCamera(feature) || !(name in features)) continue;
    if (name === "timestamp") checks.set(name, timestampCheck(feature, fps));
    else if (name === "frame_index")
      checks.set(
        name,
        counterCheck(name, feature, ({ row }) => row),
      );
    else if (name === "episode_index")
      checks.set(
        name,
        counterCheck(name, feature, ({ episode }) => episode.index),
      );
    else if (name === "index") {
      checks.set(
        name,
        counterCheck(name, feature, ({ episode, row }) => episode.from + row),
      );
    } else if (name === "task_index" && tasks) checks.set(name, taskCheck(feature, tasks));
    else if (steps && isAction(name) && isNumeric(feature.dtype)) {
      const { check, sizes } = measureSteps(name, feature);
      checks.set(name, check);
      steps.set(name, sizes);
    } else checks.set(name, plainCheck(name, feature));
  }
  return checks;
}

function jumpChecks(
  features: Features,
  steps: ReadonlyMap<string, readonly StepSizes[]>,
  jumpDeviations: number,
): Map<string, CellCheck> {
  const checks = new Map<string, CellCheck>();
  for (const [name, sizes] of steps) {
    const feature = features[name]!;
    const deviations = sizes.map((size) => size.deviation() ?? Number.POSITIVE_INFINITY);
    const smallest = sizes.map((size) => size.smallest());
    const steps = stepsCheck(name, feature, (dim, from, to, complain) => {
      const size = Math.abs(to - from) / deviations[dim]!;
      if (size <= jumpDeviations || Math.abs(to - from) <= smallest[dim]!) return;
      const label = dimLabel(name, feature, dim);
      complain(
        "validate/jump",
        `${label}: jumps from ${short(from)} to ${short(to)}, ${Math.round(size)} robust deviations`,
      );
    });
    // What is wrong with the cells themselves has been said.
    checks.set(name, (cell, place, complain) =>
      steps(cell, place, (code, message) => code === "validate/jump" && complain(code, message)),
    );
  }
  return checks;
}

const short = (value: number): string => String(Number(value.toPrecision(4)));
