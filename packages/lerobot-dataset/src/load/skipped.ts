/** @file Frames that cannot be read: which failures may be skipped, and the record of those that were. */
import { isAbsolute } from "node:path";
import { InsulaError, type Sample } from "@insula/model-types";
import type { FrameLocation, FrameSource } from "../frame-source.js";

/** A frame that could not be read. */
export interface SkippedFrame extends Partial<FrameLocation> {
  /** Its number in the source. */
  readonly index: number;
  /** The file that is at fault, where the error names one. */
  readonly file?: string;
  /** Code and message of the error. */
  readonly code: string;
  readonly message: string;
}

/** What a loader has skipped so far. */
export interface Skipped {
  /** Samples replaced in batches that were handed out; a frame counts each time its turn comes. */
  readonly samples: number;
  /** The frames, each once, by index; the first 1000 found. */
  readonly frames: readonly SkippedFrame[];
}

/** Frames that a loader keeps by name: a lost video file may hold a hundred thousand. */
const NAMED_FRAMES = 1000;

/** Faults of data. Everything else (a missing decoder, a wrong name, a failing transform) is nothing to skip. */
const DATA_FAULTS: ReadonlySet<string> = new Set([
  "dataset/image",
  "dataset/missing-file",
  "dataset/parquet",
  "dataset/video",
  "dataset/video-frame",
]);

/** Whether `error` says that this one frame cannot be read. */
function isDataFault(error: unknown): error is InsulaError {
  return error instanceof InsulaError && DATA_FAULTS.has(error.code);
}

/** Unreadable frames in a row after which something else must be wrong; fewer while none has been read at all. */
const MOST_IN_ROW = { first: 100, later: 1000 };

export interface FoundSample {
  sample: Sample;
  /** It stands for another, which cannot be read. */
  skipped: boolean;
}

/** The frames that cannot be read, and the search for others in their place. */
export interface Substitutes {
  /**
   * The first sample that can be read of `at(0)`, `at(1)`, …, and whether it is a substitute.
   * @throws InsulaError `loader/corrupt`; what `read` throws besides faults of data.
   */
  find(at: (i: number) => number, read: (index: number) => Promise<Sample>): Promise<FoundSample>;
  /** Sorted by index. */
  frames(): SkippedFrame[];
}

/** Each frame that cannot be read is tried once. */
export function createSubstitutes(source: FrameSource): Substitutes {
  const bad = new Set<number>();
  const named: SkippedFrame[] = [];
  let everRead = false;
  return {
    async find(at, read) {
      let last = "";
      for (let i = 0; i < (everRead ? MOST_IN_ROW.later : MOST_IN_ROW.first); i++) {
        const index = at(i);
        if (bad.has(index)) continue;
        try {
          const sample = await read(index);
          everRead = true;
          return { sample, skipped: i > 0 };
        } catch (error) {
          if (!isDataFault(error)) throw error;
          last = error.message;
          // Two of a batch may have tried it at the same time.
          if (!bad.has(index) && named.length < NAMED_FRAMES) named.push(describe(source, index, error));
          bad.add(index);
        }
      }
      throw new InsulaError(
        "loader/corrupt",
        `${bad.size} frames cannot be read, more in a row than are skipped; the last: ${last}`,
      );
    },
    frames: () => [...named].sort((a, b) => a.index - b.index),
  };
}

function describe(source: FrameSource, index: number, { code, message }: InsulaError): SkippedFrame {
  const place = source.locate?.(index);
  const file = message.split(": ")[0]!; // Errors of files begin with the file.
  return { index, ...place, ...(isAbsolute(file) && { file }), code, message };
}

/** Throw `error`, with the frame that it befell where it is a fault of data: its message names the file only. */
export function inFrame(source: FrameSource, index: number, error: unknown): never {
  const place = source.locate?.(index);
  if (!place || !isDataFault(error)) throw error;
  const where = `episode ${place.episode}, frame ${place.frame}`;
  throw new InsulaError(error.code, `${where}: ${error.message}`, { cause: error });
}
