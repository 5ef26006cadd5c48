/** @file `insula inspect graph`: the training graph of a configuration, and which loss trains what. `insula inspect tokens` joins it. */
import { buildTrainingModel, gradientPaths } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { ancestors } from "@insula/onnx-grad";
import { Option } from "commander";
import { robotSpec } from "../data/robots.js";
import { table } from "../table.js";
import type { Install } from "./command.js";
import { addInspectTokens } from "./inspect-tokens.js";
import { addConfigOptions, type ConfigOptions, configFrom } from "./options.js";

interface InspectGraphOptions extends ConfigOptions {
  insulation: boolean;
  json: boolean;
}

export const installInspect: Install = (program, io) => {
  const inspect = program.command("inspect").description("look inside what training runs");
  addInspectTokens(inspect, io);
  addConfigOptions(inspect.command("graph"))
    .description("operators of the training graph, and which loss's gradient reaches which parameters")
    .addOption(new Option("--no-insulation", "build it as if the expert could reach the VLM, to compare"))
    .option("--json", "print as JSON", false)
    .action(async (argument: string | undefined, options: InspectGraphOptions) => {
      const { name, size, model, batchSize, data } = await configFrom(argument, options);
      const modelType = configModelType(model);
      const built = buildTrainingModel(model, {
        batchSize,
        imageKeys: robotSpec(data.robot).cameras(modelType),
        ...(options.insulation ? {} : { insulate: false }),
      });
      const live = ancestors(built.outputs.values());
      const operators = new Map<string, number>();
      for (const { rule, outputs } of built.context.graph.nodes) {
        if (rule.type === "Alias" || !outputs.some((y) => live.has(y))) continue;
        operators.set(rule.type, (operators.get(rule.type) ?? 0) + 1);
      }
      const paths = gradientPaths(built);
      const counts = [...operators].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
      if (options.json) {
        io.out(
          JSON.stringify(
            { config: name, size, modelType, operators: Object.fromEntries(counts), paths },
            null,
            2,
          ),
        );
        return;
      }
      const total = counts.reduce((sum, [, n]) => sum + n, 0);
      io.out(`${name} (${modelType}, size ${size}, batch ${batchSize}): ${total} nodes`);
      io.out(
        `${table(
          ["operator", "nodes"],
          counts.map(([type, n]) => [type, String(n)]),
        )}\n`,
      );
      const rows = Object.entries(paths)
        .filter(([, p]) => p.parameters > 0)
        .map(([group, p]) => [group, ...[p.parameters, p.trained, p.action_loss, p.fast_loss].map(String)]);
      io.out(table(["group", "tensors", "with a gradient", "from action_loss", "from fast_loss"], rows));
      if (paths.vlm.action_loss === 0 && modelType === "pi05_ki") {
        io.out("insulated: the graph has no path from the action loss to a VLM parameter");
      }
    });
};
