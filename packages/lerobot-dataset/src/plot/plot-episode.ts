/** @file One episode as a picture: what the cameras saw, what the joints did, what was commanded. */
import { basename } from "node:path";
import { InsulaError, sizeOf } from "@insula/model-types";
import { DEFAULT_FEATURES, type FeatureSpec, isCamera, isNumeric } from "../features.js";
import type { LeRobotDataset } from "../read/dataset.js";
import { dimNames } from "../read/dim-names.js";
import { readEpisodeRows } from "../read/episode-rows.js";
import type { Episode } from "../read/episodes.js";
import { datasetRoot } from "../read/root.js";
import { INK, type Line, panel } from "./panel.js";
import { axis } from "./scale.js";
import { element, escapeText, shorten } from "./svg.js";
import { thumbnails } from "./thumbnails.js";

/** What to draw. */
export interface PlotOptions {
  /** `episode_index`. */
  episode: number;
  /** Cameras to show. Default: those the dataset was opened with. */
  cameras?: readonly string[];
  /** Features to draw. Default: all numbers but counters. */
  features?: readonly string[];
  /** Units by feature. Default: rad for `joint_position` of a Panda; else what info.json says, if anything. */
  units?: Readonly<Record<string, string>>;
  /** Pictures per camera, at most. Default: 8. */
  thumbnails?: number;
  /** Of the drawing, in pixels. Default: 1100. */
  width?: number;
}

const LEFT = 72;
const RIGHT = 208;
const TOP = 62;
/** By the number of lines. */
const panelHeight = (lines: number): number => (lines === 1 ? 84 : lines <= 9 ? 140 : 210);
const PANEL_GAP = 34;
const STRIP = 84;
const STRIP_GAP = 6;
/** Numbers of a feature that are drawn; more would be no picture. */
const MAX_LINES = 64;

/**
 * Draw an episode as one SVG file that needs no other: pictures of the cameras over time, then a panel per feature.
 * It has no background, and colours for light and dark ones. Frames that cannot be decoded leave an empty box.
 * @throws InsulaError `dataset/index` for an episode that is not there; `dataset/…` for unreadable numbers.
 */
export async function plotEpisode(dataset: LeRobotDataset, options: PlotOptions): Promise<string> {
  const episode = dataset.episodes.find(({ index }) => index === options.episode);
  if (!episode) {
    const last = dataset.episodes.at(-1)?.index;
    throw new InsulaError(
      "dataset/index",
      `${dataset.root}: no episode ${options.episode}; the last is ${last}`,
    );
  }
  const { width = 1100 } = options;
  const plotWidth = width - LEFT - RIGHT;
  const root = await datasetRoot(dataset.root, { followLinks: dataset.options.followLinks ?? false });
  const wanted = options.features ?? drawable(dataset);
  const rows = await readEpisodeRows(root, dataset.features, episode, [...wanted, "timestamp"]);
  const names = wanted.filter((name) => rows.has(name));
  const first = rows.get("timestamp");
  const times = Array.from({ length: episode.length }, (_, i) => first?.[i] ?? i / dataset.fps);
  const timeAxis = axis(Math.min(...range(times)), Math.max(...range(times)), 10, true);

  const parts: string[] = [];
  let y = TOP;
  const place = (markup: string, height: number): void => {
    parts.push(element("g", { transform: `translate(0 ${y})` }, markup));
    y += height;
  };
  const cameras = options.cameras ?? dataset.options.cameras ?? dataset.cameras;
  for (const camera of cameras) {
    const strip = await thumbnails({
      camera,
      left: LEFT,
      width: plotWidth,
      height: STRIP,
      count: options.thumbnails ?? 8,
      frames: episode.length,
      picture: async (frame) => {
        const sample = await dataset.sample(episode.from + frame, { cameras: [camera] });
        return sample[camera] as Extract<(typeof sample)[string], { shape: number[] }>;
      },
    });
    place(strip, STRIP + STRIP_GAP);
  }
  if (cameras.length > 0) y += 12;
  for (const name of names) {
    const feature = dataset.features[name]!;
    const unit = options.units?.[name] ?? unitOf(dataset, name, feature);
    const lines = linesOf(name, feature, rows.get(name)!, episode.length);
    const spec = {
      feature: name,
      lines,
      times,
      timeAxis,
      left: LEFT,
      width: plotWidth,
      height: panelHeight(lines.length),
    };
    place(panel({ ...spec, ...(unit !== undefined && { unit }) }), spec.height + PANEL_GAP);
  }
  const height = y + 6;
  return document(dataset, episode, times, width, height, parts);
}

function document(
  dataset: LeRobotDataset,
  episode: Episode,
  times: readonly number[],
  width: number,
  height: number,
  parts: readonly string[],
): string {
  const task = episode.tasks.filter((text) => text.trim() !== "").join("; ");
  const name = `${basename(dataset.root)}, episode ${episode.index}`;
  const seconds = (times.at(-1)! - times[0]! + 1 / dataset.fps).toFixed(1);
  const facts = [dataset.info.robotType, `${episode.length} frames`, `${seconds} s`, `${dataset.fps} fps`];
  return `${element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": name,
      "font-family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
    },
    element("title", {}, escapeText(name)),
    element(
      "text",
      { x: LEFT, y: 26, fill: INK, "font-size": 16, "font-weight": 600 },
      escapeText(shorten(task === "" ? "(no task)" : task, Math.floor(width / 10))),
    ),
    element(
      "text",
      { x: LEFT, y: 45, fill: INK, "font-size": 11 },
      escapeText([name, ...facts.filter((fact) => fact !== null)].join(" · ")),
    ),
    ...parts,
    element(
      "text",
      {
        x: LEFT + (width - LEFT - RIGHT) / 2,
        y: height - 4,
        fill: INK,
        "font-size": 11,
        "text-anchor": "middle",
      },
      "time [s]",
    ),
  )}\n`;
}

function drawable({ features }: LeRobotDataset): string[] {
  return Object.keys(features).filter((name) => {
    const feature = features[name]!;
    return (
      !(name in DEFAULT_FEATURES) &&
      !isCamera(feature) &&
      isNumeric(feature.dtype) &&
      sizeOf(feature.shape) > 0
    );
  });
}

function linesOf(name: string, feature: FeatureSpec, values: Float64Array, length: number): Line[] {
  const size = sizeOf(feature.shape);
  const names = dimNames(feature);
  return Array.from({ length: Math.min(size, MAX_LINES) }, (_, d) => ({
    label: size === 1 ? name : (names?.[d] ?? String(d)),
    values: Float64Array.from({ length }, (_, i) => values[i * size + d]!),
  }));
}

function unitOf({ info }: LeRobotDataset, name: string, feature: FeatureSpec): string | undefined {
  const said = feature.info?.["unit"] ?? feature.info?.["units"];
  if (typeof said === "string") return said;
  const panda = /panda|franka|droid/i.test(info.robotType ?? "");
  return panda && /^(observation\.)?joint_position$/.test(name) ? "rad" : undefined;
}

/** Least and greatest, without spreading an array. */
function range(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}
