/** @file The parameters of a model as files have them: one tensor per path, layers on axis 0. */
import { type Init, type ParamGroup, paramSpecs, stackedShape } from "@insula/ki-model";
import type { ModelConfig } from "@insula/model-types";

/** One tensor of a parameter file. */
export interface FileParam {
  readonly path: string;
  /** Length of axis 0 where it counts layers. */
  readonly layers?: number;
  /** Shape of one layer, or of the whole parameter where there are none. */
  readonly shape: readonly number[];
  /** Shape in the file. */
  readonly stacked: readonly number[];
  readonly group: ParamGroup;
  readonly init: Init;
}

/** Every tensor of the parameter file of a model. */
export function fileParams(config: ModelConfig): FileParam[] {
  const params = new Map<string, FileParam>();
  for (const spec of paramSpecs(config)) {
    if (params.has(spec.path)) continue;
    const { path, layer, group, init } = spec;
    const stacked = stackedShape(spec);
    params.set(path, {
      path,
      ...(layer === undefined ? { shape: stacked } : { layers: stacked[0]!, shape: stacked.slice(1) }),
      stacked,
      group,
      init,
    });
  }
  return [...params.values()];
}
