/** @file `insula export-artifact`: the ONNX models of a configuration, without training. */
import { writeArtifact } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { buildRunArtifact } from "../artifact.js";
import { findCheckpoint, readCheckpointConfig } from "../checkpoint.js";
import { count } from "../plan.js";
import { assertWritable } from "../run-dir.js";
import { table } from "../table.js";
import type { Install } from "./command.js";
import { addConfigOptions, type ConfigOptions, configFrom } from "./options.js";

interface ExportOptions extends ConfigOptions {
  out: string;
  checkpoint?: string;
}

export const installExportArtifact: Install = (program, io) => {
  addConfigOptions(program.command("export-artifact"))
    .description("write training, optimizer, eval and inference models with their manifest")
    .requiredOption("--out <dir>", "folder for the models")
    .option("--checkpoint <dir>", "the configuration of a run, with its vocabulary, instead of a named one")
    .action(async (argument: string | undefined, options: ExportOptions) => {
      const config = options.checkpoint
        ? await readCheckpointConfig(await findCheckpoint(options.checkpoint))
        : await configFrom(argument, options);
      const { model, batchSize } = config;
      const artifact = buildRunArtifact(config);
      await assertWritable(options.out, "--out");
      await writeArtifact(artifact, options.out);
      const { models, artifactHash, paramCounts, opset } = artifact.manifest;
      const rows = Object.entries(models).map(([name, m]) => [
        m.file,
        String(artifact.models[name]!.length),
        String(m.inputs.length),
        String(m.outputs.length),
      ]);
      io.out(table(["file", "bytes", "inputs", "outputs"], rows));
      io.out(
        `${config.name} (${configModelType(model)}, size ${config.size}, batch ${batchSize}): ` +
          `${count(paramCounts.vlm)} vlm + ${count(paramCounts.expert)} expert parameters, opset ${opset}, ` +
          `hash ${artifactHash}, in ${options.out}`,
      );
    });
};
