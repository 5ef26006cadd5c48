/** @file The filter of a configuration: plain data → what the dataset's view takes. */
import { readFile } from "node:fs/promises";
import {
  type FilteredFrames,
  type FrameFilter,
  filterFrames,
  type LeRobotDataset,
  parseFilterRanges,
} from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import type { DataFilter } from "../configs/types.js";

/**
 * The frames of `episodes` that pass `filter`.
 * @throws InsulaError `config/field` for a pattern that is none, `filter/…` as `filterFrames`, `data/no-filter-file`.
 */
export async function trainingFrames(
  dataset: LeRobotDataset,
  episodes: readonly number[],
  filter: DataFilter | null,
): Promise<FilteredFrames> {
  if (!filter) return filterFrames(dataset, { episodes });
  const { tasks, taskPattern, success, successColumn, idle, rangesFile } = filter;
  const wanted = filter.episodes && new Set(filter.episodes);
  const out: FrameFilter = { episodes: wanted ? episodes.filter((e) => wanted.has(e)) : episodes };
  if (taskPattern !== undefined) out.tasks = pattern(taskPattern);
  else if (tasks) out.tasks = tasks;
  if (success !== undefined) out.success = success;
  if (successColumn !== undefined) out.successColumn = successColumn;
  if (idle) out.idle = idle;
  if (rangesFile !== undefined) {
    const text = await readFile(rangesFile, "utf8").catch((cause: unknown) => {
      throw new InsulaError("data/no-filter-file", `data.filter.rangesFile: cannot read ${rangesFile}`, {
        cause,
      });
    });
    out.ranges = parseFilterRanges(text, dataset.episodes, { file: rangesFile });
  }
  return filterFrames(dataset, out);
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (cause) {
    throw new InsulaError(
      "config/field",
      `config: data.filter.taskPattern: expected a regular expression, found ${JSON.stringify(text)}`,
      { cause },
    );
  }
}
