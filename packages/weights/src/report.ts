/** @file What became of every tensor. */
import type { ModelType } from "@insula/model-types";
import type { SourceFormat } from "./source.js";

/** A parameter and the tensors that it was made of. */
export interface MappedParam {
  readonly path: string;
  readonly shape: readonly number[];
  readonly from: readonly string[];
  /** Types in the source: one, or several joined by `+`. */
  readonly dtype: string;
  /** How axes were changed. */
  readonly layout: string;
}

/** A tensor of the source that no parameter needs. */
export interface IgnoredTensor {
  readonly name: string;
  readonly reason: string;
}

/** A parameter that the source lacks. */
export interface InitialisedParam {
  readonly path: string;
  readonly shape: readonly number[];
  /** Its initialiser. */
  readonly how: string;
}

/** Every tensor of the source is in `mapped` or `ignored`, every parameter in `mapped` or `initialised`. */
export interface ImportReport {
  readonly path: string;
  readonly format: SourceFormat;
  readonly modelType: ModelType;
  readonly mapped: readonly MappedParam[];
  readonly ignored: readonly IgnoredTensor[];
  readonly initialised: readonly InitialisedParam[];
}

/** The report as rows of a table: parameter or tensor, shape, fate. */
export function reportRows(report: ImportReport): [name: string, shape: string, fate: string][] {
  const shape = (dims: readonly number[]) => `[${dims.join(", ")}]`;
  return [
    ...report.mapped.map(({ path, shape: dims, from, dtype, layout }): [string, string, string] => [
      path,
      shape(dims),
      `from ${from.length === 1 ? from[0] : `${from.length} tensors, ${from[0]} …`} (${dtype}, ${layout})`,
    ]),
    ...report.initialised.map(({ path, shape: dims, how }): [string, string, string] => [
      path,
      shape(dims),
      `missing: initialised (${how})`,
    ]),
    ...report.ignored.map(({ name, reason }): [string, string, string] => [name, "", `ignored: ${reason}`]),
  ];
}
