/** @file The common part of converting, splitting and merging: episodes of some sources into a new dataset. */
import { InsulaError } from "@insula/model-types";
import type { FeatureSpec } from "../features.js";
import type { Episode } from "../read/episodes.js";
import type { VideoEncoding } from "../write/encode-video.js";
import { writeInto } from "../write/writer.js";
import type { Source, SourceOptions } from "./source.js";

/** What all of the operations take. */
export interface EditOptions extends SourceOptions {
  /** Cameras to keep. Default: all; `[]`: none. */
  cameras?: readonly string[];
  /** How videos are encoded, where they are. */
  video?: VideoEncoding;
  /** Decode and encode videos that could be copied, too: for another codec, or one for all. Default: false. */
  encode?: boolean;
  /** Called after each episode. */
  onProgress?: (done: number, total: number) => void;
}

/** What a new dataset holds. */
export interface EditResult {
  readonly dir: string;
  readonly episodes: number;
  readonly frames: number;
  readonly tasks: number;
}

/** Episodes of one source. */
export interface Selection {
  source: Source;
  episodes: readonly Episode[];
}

/**
 * Write the selected episodes, one after the other, into the folder `dir`. All sources have the given features.
 * @throws InsulaError `dataset/missing-file` when a video is not there.
 */
export async function copyEpisodes(
  dir: string,
  selections: readonly Selection[],
  features: Record<string, FeatureSpec>,
  options: EditOptions,
): Promise<EditResult> {
  const { video, onProgress, toleranceS } = options;
  for (const selection of selections) await checkFiles(selection, features);
  const [first] = selections;
  const { fps, info } = first!.source.dataset;
  const tasks = new Map<string, number>();
  for (const { source } of selections) {
    for (const [text, index] of source.tasks) {
      // The first source keeps its indices; others get the next ones.
      if (!tasks.has(text)) tasks.set(text, source === first!.source ? index : nextIndex(tasks));
    }
  }
  const writer = await writeInto(
    dir,
    {
      fps,
      robotType: info.robotType,
      features,
      ...(video && { video }),
      ...(toleranceS !== undefined && { toleranceS }),
    },
    tasks,
  );
  const total = selections.reduce((sum, { episodes }) => sum + episodes.length, 0);
  let frames = 0;
  let done = 0;
  try {
    for (const { source, episodes } of selections) {
      const together = new Set(episodes.map((e) => e.index));
      for (const episode of episodes) {
        await writer
          .addEpisode(await source.episode(episode, features, together, options.encode))
          .catch((error: unknown) => {
            if (!(error instanceof InsulaError)) throw error;
            const from = `${source.dataset.root}, episode ${episode.index}`;
            throw new InsulaError(error.code, `${error.message} (from ${from})`, { cause: error });
          });
        frames += episode.length;
        onProgress?.(++done, total);
      }
    }
    await writer.finalize();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return { dir, episodes: total, frames, tasks: tasks.size };
}

function nextIndex(tasks: ReadonlyMap<string, number>): number {
  let next = 0;
  for (const index of tasks.values()) next = Math.max(next, index + 1);
  return next;
}

/** Before anything is written: are all files there? */
async function checkFiles(
  { source, episodes }: Selection,
  features: Readonly<Record<string, FeatureSpec>>,
): Promise<void> {
  const { dataset } = source;
  const missing = await dataset.missingFiles({
    cameras: dataset.cameras.filter((name) => features[name]),
    ...(episodes.length < dataset.episodes.length && { episodes: episodes.map((e) => e.index) }),
  });
  if (missing.length === 0) return;
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : "";
  throw new InsulaError(
    "dataset/missing-file",
    `${dataset.root}: not there: ${missing.slice(0, 3).join(", ")}${more}; download them, or leave out their cameras or episodes`,
  );
}
