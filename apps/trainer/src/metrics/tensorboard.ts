/**
 * @file TensorBoard event files: scalars, histograms, images and text. Format: TFRecord frames around
 * `tensorflow.Event` protobuf messages: wall_time = 1, step = 2, and one of file_version = 3, summary = 5 { value = 1 }
 * and session_log = 7. A value has tag = 1 and one of simple_value = 2, image = 4, histo = 5 and tensor = 8, the last with
 * metadata = 9. Every event is one write, so a run killed at any moment leaves whole events and at most one cut frame
 * at the end, which TensorBoard skips.
 */
import { openSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { appendTo } from "../append.js";
import type { Histogram } from "./histogram.js";
import { bytes, double, doubles, float, integer, message, text } from "./protobuf.js";
import { frame } from "./records.js";

/** A picture as a PNG file. */
export interface PngImage {
  width: number;
  height: number;
  png: Uint8Array;
}

/** What goes into an event, by tag. Undefined scalars are left out. */
export interface Summary {
  scalars?: Record<string, number | undefined>;
  histograms?: Record<string, Histogram>;
  images?: Record<string, PngImage>;
  /** Markdown. */
  texts?: Record<string, string>;
}

export interface EventWriter {
  readonly path: string;
  /** One event with everything of `summary`. `time` in seconds since 1970. */
  write(step: number, time: number, summary: Summary): void;
  close(): void;
}

export interface EventOptions {
  /** Seconds since 1970. */
  now?: number;
  /** The run continues after this step: what earlier files hold of later ones is to be forgotten. */
  resumeStep?: number;
}

/** Start an event file in `dir`; TensorBoard merges all files of a folder, so a resumed run adds one. */
export function openEvents(
  dir: string,
  { now = Date.now() / 1000, resumeStep = 0 }: EventOptions = {},
): EventWriter {
  const seconds = String(Math.floor(now)).padStart(10, "0");
  const { path, file } = openNew(join(dir, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}`));
  const out = appendTo(file);
  const write = (...fields: Uint8Array[]) => out.write(frame(message(...fields)));
  write(double(1, now), text(3, "brain.Event:2"));
  if (resumeStep > 0) write(double(1, now), integer(2, resumeStep + 1), bytes(7, integer(1, SESSION_START)));
  return {
    path,
    write(step, time, { scalars = {}, histograms = {}, images = {}, texts = {} }) {
      const values = [
        ...Object.entries(scalars).flatMap(([tag, value]) =>
          value === undefined ? [] : [message(text(1, tag), float(2, value))],
        ),
        ...Object.entries(histograms).map(([tag, of]) => message(text(1, tag), bytes(5, histogram(of)))),
        ...Object.entries(images).map(([tag, of]) => message(text(1, tag), bytes(4, image(of)))),
        ...Object.entries(texts).map(([tag, value]) => message(text(1, tag), ...markdown(value))),
      ];
      if (values.length === 0) return;
      const summary = message(...values.map((value) => bytes(1, value)));
      write(double(1, time), integer(2, step), bytes(5, summary));
    },
    close: out.close,
  };
}

/** `tensorflow.SessionLog.START`. */
const SESSION_START = 1;
/** `tensorflow.DT_STRING`. */
const STRING = 7;
/** RGBA of `tensorflow.Summary.Image.colorspace` is 4, RGB 3. */
const RGB = 3;

/** `tensorflow.HistogramProto` */
function histogram({ min, max, num, sum, sumSquares, limits, counts }: Histogram): Uint8Array {
  return message(
    double(1, min),
    double(2, max),
    double(3, num),
    double(4, sum),
    double(5, sumSquares),
    doubles(6, limits),
    doubles(7, counts),
  );
}

/** `tensorflow.Summary.Image` */
function image({ width, height, png }: PngImage): Uint8Array {
  return message(integer(1, height), integer(2, width), integer(3, RGB), bytes(4, png));
}

/** A tensor of one string, marked for the text plugin: `tensorflow.TensorProto`, `tensorflow.SummaryMetadata`. */
function markdown(value: string): Uint8Array[] {
  const shape = bytes(2, integer(1, 1));
  return [
    bytes(8, message(integer(1, STRING), bytes(2, shape), text(8, value))),
    bytes(9, bytes(1, text(1, "text"))),
  ];
}

/** A file of its own, even for runs that begin within one second of one process. */
function openNew(path: string): { path: string; file: number } {
  for (let n = 0; ; n++) {
    const name = n === 0 ? path : `${path}.${n}`;
    try {
      return { path: name, file: openSync(name, "ax") };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
