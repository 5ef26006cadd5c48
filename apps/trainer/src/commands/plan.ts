/** @file `insula plan`: what a configuration needs and what fits, without data or device. */
import { choosePlan } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { runArtifactOptions } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import { type Fit, whatFits } from "../plan/fits.js";
import { scalingTables } from "../plan/markdown.js";
import { type Alternative, tabulate } from "../plan/scaling.js";
import { BASE_BYTES, byteCount, count, gigabytes, operations } from "../plan.js";
import { table } from "../table.js";
import type { Install } from "./command.js";
import { addConfigOptions, addDeviceOptions, type ConfigOptions, configFrom } from "./options.js";

interface PlanOptions extends ConfigOptions {
  deviceMemory?: number;
  json: boolean;
  markdown: boolean;
}

export const installPlan: Install = (program, io) => {
  addDeviceOptions(addConfigOptions(program.command("plan")))
    .description("what training a configuration needs and what would fit, without data or device")
    .option("--device-memory <size>", "memory to fit into, for example 80GB or 24GiB", byteCount)
    .option("--json", "print as JSON", false)
    .option("--markdown", "print the tables of docs/scaling.md", false)
    .action(async (argument: string | undefined, options: PlanOptions) => {
      if (options.markdown) {
        io.out(scalingTables());
        return;
      }
      const config = await configFrom(argument, options);
      const rows = tabulate(config, options.batchSize ? [options.batchSize] : undefined);
      const { deviceMemory } = options;
      const chosen = deviceMemory === undefined ? undefined : choose(config, deviceMemory);
      const fits = deviceMemory === undefined ? undefined : whatFits(config, deviceMemory);
      if (options.json) {
        const { name, size } = config;
        io.out(JSON.stringify({ config: name, size, chosen, fits, rows: rows.map(record) }, null, 2));
        return;
      }
      const { params, trainable } = rows[0]!.plan;
      const sum = ({ vlm, expert }: typeof params) => count(vlm + expert);
      io.out(
        `${config.name} (${configModelType(config.model)}, size ${config.size}): ` +
          `${sum(params)} parameters, ${sum(trainable)} trained`,
      );
      io.out(
        table(
          heads(options.deviceMemory),
          rows.map((row) => cells(row, options.deviceMemory)),
        ),
      );
      if (fits && deviceMemory) {
        io.out(
          `\nwhat fits into ${gigabytes(deviceMemory)}, ${gigabytes(BASE_BYTES)} of it for the process:`,
        );
        io.out(fitTable(fits, config));
      }
      if (chosen) io.out(verdict(chosen, config));
    });
};

/** What the run's own settings become within the memory, in the order of `choosePlan`. */
function choose(config: RunConfig, deviceMemory: number) {
  const { choice, plan, fits, changes } = choosePlan(config.model, {
    ...runArtifactOptions(config),
    deviceMemory: deviceMemory - BASE_BYTES,
  });
  return { ...choice, fits, changes, need: plan.bytes.total + BASE_BYTES, deviceMemory };
}

function verdict(chosen: ReturnType<typeof choose>, config: RunConfig): string {
  const { fits, changes, need, deviceMemory } = chosen;
  const at = `${gigabytes(need)} of ${gigabytes(deviceMemory)}`;
  if (!fits) return `nothing fits: the smallest choice needs ${at}`;
  return changes.length === 0
    ? `batch size ${config.batchSize} fits as it is: ${at}`
    : `fits with ${changes.join(", ")}: ${at}`;
}

/** The ways to train, and how much of each fits. */
function fitTable(fits: readonly Fit[], { batchSize }: RunConfig): string {
  const pieces = ({ gradientAccumulation: parts }: Fit) =>
    parts === null ? "–" : parts === 1 ? "in one piece" : `${parts} micro-batches of ${batchSize / parts}`;
  return table(
    ["trains", "parameters", "rematerialised", "EMA", "largest batch", `batch ${batchSize}`],
    fits.map((fit) => [
      fit.train,
      count(fit.trained),
      fit.rematerialize ? "yes" : "no",
      fit.emaDecay === null ? "no" : "yes",
      fit.largestBatch === 0 ? "–" : String(fit.largestBatch),
      pieces(fit),
    ]),
  );
}

const heads = (memory: number | undefined): string[] => [
  ...["batch", "micro", "rematerialised", "EMA", "state", "activations", "logits", "need", "operations"],
  ...(memory === undefined ? [] : ["fits"]),
];

function cells(row: Alternative, memory?: number): string[] {
  const { batchSize, gradientAccumulation, rematerialize, emaDecay, need, plan } = row;
  const { parameters, gradients, moments, ema, activations, logits } = plan.bytes;
  return [
    String(batchSize),
    String(batchSize / gradientAccumulation),
    rematerialize ? "yes" : "no",
    emaDecay === null ? "no" : "yes",
    gigabytes(parameters + gradients + moments + (emaDecay === null ? 0 : ema)),
    gigabytes(activations),
    gigabytes(logits),
    gigabytes(need),
    operations(plan.flops),
    ...(memory === undefined ? [] : [need <= memory ? "yes" : "no"]),
  ];
}

/** A row for machines: bytes and operations as numbers. */
const record = ({ plan: { bytes, ...plan }, need, ...choice }: Alternative) => ({
  ...choice,
  need,
  ...plan,
  bytes: { ...bytes, ema: choice.emaDecay === null ? 0 : bytes.ema },
});
