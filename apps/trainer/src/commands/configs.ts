/** @file `insula configs list` and `insula configs show NAME`. */
import { configModelType, MODEL_SIZES, type ModelSize } from "@insula/model-types";
import { Option } from "commander";
import { loadConfig } from "../configs/file.js";
import { parseOverrides } from "../configs/overrides.js";
import { listConfigs } from "../configs/registry.js";
import { resolveConfig } from "../configs/resolve.js";
import type { DataConfig } from "../configs/types.js";
import { table } from "../table.js";
import { collect, type Install } from "./command.js";
import { resolveFrom } from "./options.js";

/** What is trained on when no `--dataset` is given. */
const dataNames = ({ repoId, mixture }: DataConfig): string =>
  mixture?.map((entry) => entry.repoId).join(" + ") ?? repoId ?? "embedded sample data";

export const installConfigs: Install = (program, io) => {
  const configs = program.command("configs").description("the named training configurations");
  configs
    .command("list", { isDefault: true })
    .description("one line per configuration")
    .action(() => {
      const rows = listConfigs().map((declared) => {
        const { model, data, ...run } = resolveConfig(declared, { size: "full" });
        return [
          declared.name,
          configModelType(model),
          `${model.actionDim}/${model.actionHorizon}/${model.maxTokenLen}`,
          data.robot,
          `${run.numTrainSteps} x ${run.batchSize}`,
          dataNames(data),
        ];
      });
      io.out(table(["name", "model", "dim/horizon/tokens", "robot", "steps x batch", "data"], rows));
    });
  configs
    .command("show")
    .description("every field of one configuration, as JSON")
    .argument("<name>", "a configuration, or a file that extends one")
    .addOption(
      new Option("--size <size>", "model size (default: the config's, else full)").choices(MODEL_SIZES),
    )
    .option("--set <path=value>", "override a field (repeatable)", collect, [])
    .action(async (name: string, options: { size?: ModelSize; set: string[] }) => {
      const loaded = await loadConfig(name);
      const config = resolveFrom(name, loaded, {
        size: options.size ?? loaded.config.size ?? "full",
        overrides: parseOverrides(options.set),
      });
      io.out(JSON.stringify(config, null, 2));
    });
};
