/** @file What is checked of every cell, feature by feature. Rows come in order, episode by episode. */
import { sizeOf } from "@insula/model-types";
import { type FeatureSpec, isNumeric } from "../features.js";
import { copyCell, shapeOfCell } from "../read/cells.js";
import { dimLabel } from "../read/dim-names.js";
import type { Episode } from "../read/episodes.js";
import { type StepSizes, stepSizes } from "./jumps.js";

/** One row of a data file. */
export interface Place {
  readonly episode: Episode;
  /** From 0. */
  readonly row: number;
}

export type Complain = (code: string, message: string) => void;

/** Checks the cells of one feature. */
export type CellCheck = (cell: unknown, place: Place, complain: Complain) => void;

/** LeRobot's `tolerance_s`. */
const TOLERANCE_S = 1e-4;

/** Every number there, finite, in the shape that info.json says; `numbers` sees them. */
export function numbersCheck(
  name: string,
  feature: FeatureSpec,
  numbers?: (values: Float64Array, place: Place, complain: Complain) => void,
): CellCheck {
  const values = new Float64Array(sizeOf(feature.shape));
  return (cell, place, complain) => {
    const problem = copyCell(cell, feature.shape, 0, values, 0);
    if (problem === "null") return complain("dataset/null", `${name}: no value`);
    if (problem === "type") return complain("dataset/dtype", `${name}: expected numbers, found others`);
    if (problem === "width") {
      const [expected, found] = [feature.shape, shapeOfCell(cell)].map((shape) => shape.join(", "));
      return complain("dataset/shape", `${name}: expected [${expected}], found [${found}]`);
    }
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) return complain("dataset/not-finite", `${dimLabel(name, feature, bad)}: ${values[bad]}`);
    numbers?.(values, place, complain);
  };
}

/** Steps between rows, per dimension: told to `step`, episode by episode. */
export function stepsCheck(
  name: string,
  feature: FeatureSpec,
  step: (dim: number, from: number, to: number, complain: Complain) => void,
): CellCheck {
  const before = new Float64Array(sizeOf(feature.shape));
  let last: Place | undefined;
  return numbersCheck(name, feature, (values, place, complain) => {
    if (last?.episode === place.episode && last.row + 1 === place.row) {
      for (const [dim, value] of values.entries()) step(dim, before[dim]!, value, complain);
    }
    before.set(values);
    last = place;
  });
}

/** Measure the steps of a feature. */
export function measureSteps(name: string, feature: FeatureSpec): { check: CellCheck; sizes: StepSizes[] } {
  const sizes = Array.from({ length: sizeOf(feature.shape) }, stepSizes);
  return { sizes, check: stepsCheck(name, feature, (dim, from, to) => sizes[dim]!.add(from, to)) };
}

/** Timestamps: from 0, one frame interval apart, within LeRobot's tolerance. */
export function timestampCheck(feature: FeatureSpec, fps: number): CellCheck {
  let last: { place: Place; seconds: number } | undefined;
  return numbersCheck("timestamp", feature, ([seconds], place, complain) => {
    const follows = last?.place.episode === place.episode && last.place.row + 1 === place.row;
    const expected = follows ? last!.seconds + 1 / fps : place.row / fps;
    last = { place, seconds: seconds! };
    // A float32 is itself uncertain by half its last digit.
    if (Math.abs(seconds! - expected) <= TOLERANCE_S + Math.abs(expected) * 2 ** -23) return;
    complain(
      "validate/timestamp",
      `timestamp: expected ${expected.toFixed(4)} s${follows ? " after the row before" : ""} at ${fps} fps, found ${seconds!.toFixed(4)} s`,
    );
  });
}

/** A column that counts: what each row should hold is known. */
export function counterCheck(
  name: string,
  feature: FeatureSpec,
  expected: (place: Place) => number,
): CellCheck {
  return numbersCheck(name, feature, ([found], place, complain) => {
    const wanted = expected(place);
    if (found !== wanted) complain("dataset/counts", `${name}: expected ${wanted}, found ${found}`);
  });
}

/** Tasks: in the task table, and not empty. */
export function taskCheck(feature: FeatureSpec, tasks: ReadonlyMap<number, string>): CellCheck {
  let told: Episode | undefined;
  return numbersCheck("task_index", feature, ([index], place, complain) => {
    const text = tasks.get(index!);
    if (text !== undefined && text.trim() !== "") return;
    if (text !== undefined && told === place.episode) return; // An empty task once per episode.
    told = place.episode;
    if (text === undefined) complain("dataset/tasks", `task_index: ${index} is not in the task table`);
    else complain("validate/empty-task", `its task (${index}) is empty`);
  });
}

/** Text that is text. */
export function textCheck(name: string): CellCheck {
  return (cell, _, complain) => {
    if (typeof cell !== "string") complain("dataset/null", `${name}: no text`);
  };
}

/** The check of a feature that has no meaning of its own. */
export function plainCheck(name: string, feature: FeatureSpec): CellCheck {
  return isNumeric(feature.dtype) ? numbersCheck(name, feature) : textCheck(name);
}
