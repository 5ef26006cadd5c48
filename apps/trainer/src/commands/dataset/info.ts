/** @file `insula dataset info`: what a dataset is, at a glance. */
import { type DatasetSummary, type FeatureSummary, summarizeLeRobotDataset } from "@insula/lerobot-dataset";
import { table } from "../../table.js";
import { told } from "./hub-progress.js";
import type { InstallDataset } from "./install.js";

interface InfoOptions {
  ranges: boolean;
  followLinks: boolean;
  json: boolean;
}

/** Dimensions of a feature that get a line each; of wider ones, the whole range. */
const MAX_DIMS = 64;

export const installInfo: InstallDataset = (dataset, io) => {
  dataset
    .command("info")
    .description("version, episodes, cameras, features with their ranges, tasks, disk space, missing files")
    .argument("<dataset>", "its folder, or owner/name on the Hugging Face hub")
    .option("--no-ranges", "do not read the data files")
    .option("--follow-links", "follow symbolic links that lead out of the dataset", false)
    .option("--json", "print as JSON", false)
    .action(async (source: string, { ranges, followLinks, json }: InfoOptions) => {
      const summary = await summarizeLeRobotDataset(source, {
        ranges,
        followLinks,
        hub: { onProgress: told(io) },
      });
      io.out(json ? JSON.stringify(summary, null, 2) : text(summary));
    });
};

function text(summary: DatasetSummary): string {
  const { version, robotType, fps, episodes, frames, lengths, bytes, missing } = summary;
  const total = bytes.meta + bytes.data + bytes.videos;
  const facts = [
    ["format", `LeRobot ${version}`],
    ["robot", robotType ?? "not said"],
    ["episodes", `${episodes} of ${lengths.min} to ${lengths.max} frames, median ${lengths.median}`],
    ["frames", `${frames} at ${fps} fps, ${duration(summary.seconds)}`],
    [
      "on disk",
      `${size(total)} (videos ${size(bytes.videos)}, data ${size(bytes.data)}, meta ${size(bytes.meta)})`,
    ],
    ["missing", missing.length === 0 ? "nothing" : `${missing.length} files`],
  ];
  const cameras = summary.cameras.map(({ name, stored, height, width, codec, fps: rate }) => [
    name,
    `${height}x${width}`,
    stored,
    codec ?? "",
    rate === undefined ? "" : String(Number(rate.toFixed(3))),
  ]);
  const tasks = summary.tasks.map(({ index, task, episodes: of, frames: rows }) => [
    String(index),
    task === "" ? "(empty)" : task,
    String(of),
    String(rows),
  ]);
  return [
    summary.root,
    ...facts.map(([name, value]) => `  ${name!.padEnd(10)}${value}`),
    ...section("cameras", ["camera", "height x width", "stored as", "codec", "fps"], cameras),
    ...section(
      "features",
      ["feature", "dtype", "shape", "dim", "min", "max"],
      summary.features.flatMap(featureRows),
    ),
    ...section("tasks", ["task", "text", "episodes", "frames"], tasks),
    ...(missing.length > 0 ? ["", "missing", ...missing.map((path) => `  ${path}`)] : []),
  ].join("\n");
}

function section(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  return [
    "",
    title,
    ...table(head, rows)
      .split("\n")
      .map((line) => `  ${line}`),
  ];
}

/** A row per dimension; the feature itself is named in the first. */
function featureRows({ name, dtype, shape, names, min, max }: FeatureSummary): string[][] {
  const head = [name, dtype, `[${shape.join(", ")}]`];
  if (!min || !max) return [[...head, "", "", ""]];
  if (min.length > MAX_DIMS) return [[...head, "all", short(Math.min(...min)), short(Math.max(...max))]];
  return min.map((low, d) => [
    ...(d === 0 ? head : ["", "", ""]),
    min.length === 1 ? "" : (names?.[d] ?? String(d)),
    short(low),
    short(max[d]!),
  ]);
}

const short = (value: number): string => String(Number(value.toPrecision(5)));

function size(bytes: number): string {
  const unit = bytes >= 1e9 ? (["GB", 1e9] as const) : (["MB", 1e6] as const);
  return `${(bytes / unit[1]).toFixed(1)} ${unit[0]}`;
}

function duration(seconds: number): string {
  const minutes = seconds / 60;
  if (minutes < 2) return `${seconds.toFixed(1)} s`;
  return minutes < 120 ? `${minutes.toFixed(1)} min` : `${(minutes / 60).toFixed(1)} h`;
}
