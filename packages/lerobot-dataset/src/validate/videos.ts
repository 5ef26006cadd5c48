/** @file The video files: there, whole, of the size, codec and rate that info.json says, and long enough. */
import { InsulaError } from "@insula/model-types";
import { type FeatureSpec, type Features, imageSize } from "../features.js";
import { readEpisodeRows } from "../read/episode-rows.js";
import type { Episode } from "../read/episodes.js";
import type { DatasetRoot } from "../read/root.js";
import { probeVideo } from "../video/probe.js";
import { openVideo } from "../video/video-file.js";
import { type Problem, problemOf } from "./problem.js";

/** Names that LeRobot and FFmpeg give to the same codec. */
const CODEC_NAMES: Readonly<Record<string, string>> = {
  libsvtav1: "av1",
  libx264: "h264",
  libx265: "hevc",
  h265: "hevc",
  avc1: "h264",
  mp4v: "mpeg4",
};

/**
 * Check one video file of `camera`, which holds the given episodes.
 * @param decode every frame, too.
 */
export async function* checkVideo(
  root: DatasetRoot,
  path: string,
  camera: string,
  feature: FeatureSpec,
  episodes: readonly Episode[],
  { fps, decode, features }: { fps: number; decode: boolean; features: Features },
): AsyncGenerator<Problem> {
  const wrong = (message: string, episode?: number, code = "validate/video"): Problem => ({
    code,
    file: path,
    message,
    ...(episode !== undefined && { episode }),
  });
  const only = episodes.length === 1 ? episodes[0]!.index : undefined;
  let full: string;
  try {
    full = await root.file(path);
    if (!(await root.has(path))) {
      const of = only === undefined ? ` of ${episodes.length} episodes from ${episodes[0]!.index}` : "";
      yield wrong(`missing; it should hold ${camera}${of}`, only, "dataset/missing-file");
      return;
    }
    const found = await probeVideo(full);
    const { height, width } = imageSize(camera, feature);
    if (found.width !== width || found.height !== height) {
      yield wrong(
        `expected ${height}x${width} pixels (height x width), found ${found.height}x${found.width}`,
        only,
      );
    }
    if (found.fps > 0 && Math.abs(found.fps - fps) > fps / 100) {
      yield wrong(`expected ${fps} fps, found ${found.fps.toFixed(3)}`, only);
    }
    const codec = codecOf(feature);
    if (codec !== undefined && codec !== found.codec)
      yield wrong(`expected codec ${codec}, found ${found.codec}`, only);
    const frames = episodes.reduce((sum, e) => sum + e.length, 0);
    if (found.frames > 0 && found.frames !== frames) {
      yield wrong(`expected ${frames} frames, found ${found.frames}`, only);
    }
    const ordered = [...episodes].sort((a, b) => fromOf(a, camera) - fromOf(b, camera));
    for (const [i, episode] of ordered.entries()) {
      const from = fromOf(episode, camera);
      const end = from + (episode.length - 1) / fps;
      if (found.seconds > 0 && end > found.seconds) {
        yield wrong(
          `its last frame is at ${end.toFixed(3)} s, the video ends at ${found.seconds.toFixed(3)} s`,
          episode.index,
        );
      }
      const before = ordered[i - 1];
      const free = before ? fromOf(before, camera) + (before.length - 0.5) / fps : 0;
      if (before && from < free) {
        yield wrong(`begins at ${from.toFixed(3)} s, within episode ${before.index}`, episode.index);
      }
    }
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    yield { ...problemOf(error, root.path, path), ...(only !== undefined && { episode: only }) };
    return;
  }
  if (decode) yield* decodeAll(root, full, path, camera, episodes, features, fps);
}

async function* decodeAll(
  root: DatasetRoot,
  full: string,
  path: string,
  camera: string,
  episodes: readonly Episode[],
  features: Features,
  fps: number,
): AsyncGenerator<Problem> {
  const video = await openVideo(full);
  try {
    for (const episode of episodes) {
      // As reading does it: by the row's own timestamp. A data file that cannot be read has been told.
      const rows = await readEpisodeRows(root, features, episode, ["timestamp"]).catch(() => undefined);
      for (let row = 0; row < episode.length; row++) {
        const seconds = rows?.get("timestamp")?.[row] ?? row / fps;
        const problem = await video
          .decode(fromOf(episode, camera) + seconds, async () => undefined)
          .catch((error: unknown) => {
            if (!(error instanceof InsulaError)) throw error;
            return problemOf(error, root.path, path);
          });
        if (problem) yield { ...problem, file: path, episode: episode.index, row };
      }
    }
  } finally {
    await video.close();
  }
}

const fromOf = (episode: Episode, camera: string): number => episode.videos[camera]!.fromTimestamp;

/** The codec that info.json names, by FFmpeg's name. */
function codecOf(feature: FeatureSpec): string | undefined {
  const info = feature.info ?? (feature as { video_info?: FeatureSpec["info"] }).video_info;
  const name = info?.["video.codec"];
  return typeof name === "string" ? (CODEC_NAMES[name] ?? name) : undefined;
}
