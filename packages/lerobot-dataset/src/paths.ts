/**
 * @file Where a dataset keeps its files: the path templates of meta/info.json and the LeRobot defaults.
 * Templates come from the dataset, so every path is checked: nothing outside the dataset's folder is read.
 */
import { isAbsolute, join, normalize, sep } from "node:path";
import { InsulaError } from "@insula/model-types";

/** v3.0 data files. */
export const DATA_PATH_V3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
/** v2.0 and v2.1 data files. */
export const DATA_PATH_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet";
/** v3.0 video files. */
export const VIDEO_PATH_V3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4";
/** v2.0 and v2.1 video files. */
export const VIDEO_PATH_V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4";
/** v3.0 episode tables. */
export const EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";

/**
 * Fill a Python format string of the kinds LeRobot writes: `{name}` and `{name:03d}`.
 * @throws InsulaError `dataset/path` when the template asks for a value that is not given.
 */
export function expandTemplate(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)(?::0?(\d{1,2})d)?\}/g, (_, name: string, width?: string) => {
    const value = values[name];
    if (value === undefined) {
      throw new InsulaError(
        "dataset/path",
        `path template '${template}': unknown field {${name}} (known: ${Object.keys(values).join(", ")})`,
      );
    }
    return width ? String(value).padStart(Number(width), "0") : String(value);
  });
}

/**
 * `relative` inside `root`, as a path to open.
 * @throws InsulaError `dataset/path-escapes` when it would leave `root`.
 */
export function insideRoot(root: string, relative: string): string {
  const path = normalize(relative);
  if (isAbsolute(path) || path === ".." || path.startsWith(`..${sep}`)) {
    throw new InsulaError(
      "dataset/path-escapes",
      `${root}: '${relative}' points outside the dataset; a dataset may only name files in its own folder`,
    );
  }
  return join(root, path);
}
