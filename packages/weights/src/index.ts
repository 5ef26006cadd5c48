/** Released weights in and out: openpi (PyTorch, JAX orbax), LeRobot and big_vision checkpoints. */
export {
  EXPORT_FORMATS,
  type ExportFormat,
  type ExportOptions,
  type ExportReport,
  exportWeights,
} from "./export.js";
export { assertNew, writeNew } from "./folder.js";
export { type ImportOptions, type ImportPlan, importWeights, planImport } from "./import.js";
export { mergeLoraFile } from "./merge.js";
export { openWeights } from "./open.js";
export {
  type IgnoredTensor,
  type ImportReport,
  type InitialisedParam,
  type MappedParam,
  reportRows,
} from "./report.js";
export { type ImportSizes, inferModelConfig } from "./sizes.js";
export type { FloatDtype, SourceFacts, SourceFormat, SourceTensor, WeightSource } from "./source.js";
