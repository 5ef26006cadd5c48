/** @file What `dataset convert`, `split` and `merge` share: options, progress, the line at the end. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type EditOptions, type EditResult, resolveDataset } from "@insula/lerobot-dataset";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Io } from "../command.js";
import { told } from "./hub-progress.js";

/** The options of {@link addEditOptions}, as commander gives them. */
export interface EditCommandOptions {
  out: string;
  cameras?: string[];
  codec?: "av1" | "h264";
  crf?: number;
  encode: boolean;
  tolerance?: number;
}

/** Add `--out` and what says how cameras are written. */
export function addEditOptions(command: Command): Command {
  return command
    .requiredOption("--out <dir>", "folder for the result; must be new")
    .option(
      "--cameras <names>",
      "cameras to keep, separated by commas; 'none' for none (default: all)",
      names,
    )
    .addOption(
      new Option("--codec <codec>", "of videos that are encoded (default: av1)").choices(["av1", "h264"]),
    )
    .option("--encode", "encode videos again that could be copied: for another codec, or one for all", false)
    .option("--crf <n>", "quality of videos that are encoded, lower is better (default: 30)", quality)
    .option("--tolerance <s>", "accept video frames that far off their timestamps (default: 1e-4)", seconds);
}

function names(text: string): string[] {
  return text === "none" ? [] : text.split(",").map((name) => name.trim());
}

function quality(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 63 && text.trim() !== "") return value;
  throw new InvalidArgumentError("Expected a whole number from 0 to 63.");
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected seconds.");
}

/** The library's options for the given ones, with progress on `io`. */
export function editOptions(options: EditCommandOptions, io: Io): EditOptions {
  const { cameras, codec, crf, encode, tolerance } = options;
  return {
    encode,
    ...(cameras && { cameras }),
    video: { ...(codec && { codec }), ...(crf !== undefined && { crf }) },
    ...(tolerance !== undefined && { toleranceS: tolerance }),
    onProgress: progress(io),
  };
}

/** The folder of a dataset given as a folder or a hub id. */
export function sourceFolder(given: string, io: Io): Promise<string> {
  return resolveDataset(given, { onProgress: told(io) });
}

/** A line every two seconds. */
function progress(io: Io): (done: number, total: number) => void {
  const begin = performance.now();
  let told = begin;
  return (done, total) => {
    const now = performance.now();
    if (done === total || now - told < 2000) return;
    told = now;
    const left = ((now - begin) / done) * (total - done);
    io.err(`${done} of ${total} episodes, ${Math.ceil(left / 1000)} s to go`);
  };
}

/** `8 episodes, 614 frames, 5 tasks, 9.3 MB: DIR`. */
export async function summary({ dir, episodes, frames, tasks }: EditResult): Promise<string> {
  const counts = [count(episodes, "episode"), count(frames, "frame"), count(tasks, "task")];
  return `${counts.join(", ")}, ${((await folderBytes(dir)) / 1e6).toFixed(1)} MB: ${dir}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

async function folderBytes(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
