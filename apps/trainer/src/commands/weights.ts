/** @file `insula weights`: released weights in, weights for openpi, LeRobot and big_vision out. */
import { MODEL_SIZES, ModelType } from "@insula/model-types";
import { EXPORT_FORMATS, type ExportFormat, exportWeights, reportRows } from "@insula/weights";
import { Option } from "commander";
import { findCheckpoint, paramsFile, readCheckpointConfig } from "../checkpoint.js";
import { mergeCheckpoint } from "../merge-checkpoint.js";
import { type ImportCheckpointOptions, importCheckpoint } from "../released-weights/import.js";
import { findNormStats } from "../released-weights/norm-stats.js";
import { table } from "../table.js";
import { type Install, positiveInt, wholeNumber } from "./command.js";

interface ImportCommandOptions extends ImportCheckpointOptions {
  out: string;
  json: boolean;
}

export const installWeights: Install = (program, io) => {
  const weights = program.command("weights").description("released weights in and out");
  weights
    .command("import")
    .description("make a checkpoint from weights of openpi (PyTorch, JAX), LeRobot or big_vision")
    .argument(
      "<source>",
      "model.safetensors or its folder, a JAX checkpoint or its params/, a PaliGemma .npz",
    )
    .requiredOption("--out <dir>", "folder for the checkpoint; must be new")
    .option("--config <name>", "configuration for what weights do not say: robot, horizon, prompt length")
    .addOption(
      new Option("--model-type <type>", "default: what the weights are").choices(Object.values(ModelType)),
    )
    .addOption(
      new Option(
        "--size <size>",
        "widths of an action expert that the weights do not have (default: full)",
      ).choices(MODEL_SIZES),
    )
    .option("--siglip-heads <n>", "attention heads of a vision tower of unusual width", positiveInt)
    .option("--seed <n>", "seed of the parameters that the weights do not have", wholeNumber)
    .option("--json", "print the report as JSON", false)
    .action(async (source: string, { out, json, ...options }: ImportCommandOptions) => {
      const { config, report, normStats } = await importCheckpoint(source, out, options);
      if (json) {
        io.out(JSON.stringify({ config: config.name, model: config.model, ...report, normStats }, null, 2));
        return;
      }
      io.out(table(["name", "shape", "fate"], reportRows(report)));
      const { mapped, ignored, initialised, format, modelType } = report;
      io.out(
        `\n${format} → ${modelType} (${config.name}): ${mapped.length} parameters mapped, ` +
          `${initialised.length} missing and initialised, ${ignored.length} tensors ignored, in ${out}`,
      );
      io.out(
        normStats.length > 0
          ? `normalisation statistics: ${normStats.join(", ")}`
          : "normalisation statistics: none beside the weights; training computes them, serving needs them in assets/",
      );
    });
  weights
    .command("export")
    .description("write a checkpoint's weights for openpi's PyTorch port, LeRobot or big_vision")
    .argument("<checkpoint>", "a run or one of its checkpoints")
    .addOption(new Option("--format <format>", "what to write").choices(EXPORT_FORMATS).makeOptionMandatory())
    .requiredOption("--out <dir>", "folder for the files; must be new")
    .action(async (path: string, { format, out }: { format: ExportFormat; out: string }) => {
      const checkpoint = await findCheckpoint(path);
      const { model, data } = await readCheckpointConfig(checkpoint);
      const file = await paramsFile(checkpoint);
      const files = await findNormStats(checkpoint, data.assetId);
      const report = await exportWeights(file, model, format, out, { files });
      io.out(`${report.file}: ${report.written.length} tensors, float32`);
      for (const path of files.keys()) io.out(`normalisation statistics: ${path}`);
      if (format === "lerobot")
        io.out(
          "LeRobot's processors are not written: make them from the statistics (make_pre_post_processors)",
        );
      if (report.merged.length > 0) io.out(`adapters merged into ${report.merged.length} weights`);
      for (const name of report.zeros) io.out(`written as zeros, nothing reads it: ${name}`);
      if (report.leftOut.length > 0)
        io.out(`no place in ${format} for ${report.leftOut.length} parameters: ${report.leftOut.join(", ")}`);
    });
  weights
    .command("merge-lora")
    .description("make a checkpoint without adapters from one with them: the same model, plain weights")
    .requiredOption("--checkpoint <path>", "a run or one of its checkpoints")
    .requiredOption("--out <dir>", "folder for the checkpoint; must be new")
    .action(async ({ checkpoint, out }: { checkpoint: string; out: string }) => {
      const merged = await mergeCheckpoint(await findCheckpoint(checkpoint), out);
      io.out(`adapters merged into ${merged.length} weights, in ${out}`);
    });
};
