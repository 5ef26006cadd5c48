/** @file What the commands share: the console, options that several of them take, option parsers. */
import { InsulaError } from "@insula/model-types";
import { type Command, InvalidArgumentError } from "commander";
import { FOLDER_NAME, isFolderName } from "../configs/folder-name.js";
import { type LiveLine, liveLine } from "../metrics/live-output.js";

/** Where a command writes; injectable for tests. */
export interface Io {
  out(line: string): void;
  err(line: string): void;
  /** A line that stays at the bottom, where lines go to a terminal that has it. */
  live?: LiveLine;
  /** Set by a command that ends without an error but not with 0: an interrupted run, a failed check. */
  exitCode?: number;
}

/** The process's own console. */
export const processIo: Io = consoleIo(liveLine(process.stdout));

function consoleIo(live: LiveLine | undefined): Io {
  if (live) return { live, out: live.above, err: (line) => live.above(line, process.stderr) };
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
  };
}

/** Adds a command to the program. */
export type Install = (program: Command, io: Io) => void;

/** Parse a positive whole number. */
export function positiveInt(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("Expected a positive whole number.");
  return value;
}

/** Parse a whole number. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || text.trim() === "")
    throw new InvalidArgumentError("Expected a whole number.");
  return value;
}

/** Parse the name of a folder below another. */
export function folderName(text: string): string {
  if (!isFolderName(text))
    throw new InvalidArgumentError(`${FOLDER_NAME[0]!.toUpperCase()}${FOLDER_NAME.slice(1)}.`);
  return text;
}

/** Collect an option that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/**
 * The configuration's name from `insula train [CONFIG] | --config CONFIG`.
 * @throws InsulaError `cli/config-twice` when both are given and differ.
 */
export function configName(
  argument: string | undefined,
  option: string | undefined,
  fallback: string,
): string {
  if (argument !== undefined && option !== undefined && argument !== option) {
    throw new InsulaError(
      "cli/config-twice",
      `two configs are named, '${argument}' and --config '${option}'; give one`,
    );
  }
  return argument ?? option ?? fallback;
}
