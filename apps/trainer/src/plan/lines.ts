/** @file The plan for the console: a table of what is held, and a line for everything else. */
import type { StateBytes } from "@insula/ki-model";
import type { RunConfig } from "../configs/types.js";
import { table } from "../table.js";
import { type Available, availableMemory } from "./available.js";
import type { Plan } from "./make-plan.js";
import { count, gigabytes, operations, bytes as size } from "./units.js";

/** What a run holds, computes and needs, before it starts. */
export function planLines(plan: Plan, config: RunConfig, available: Available = availableMemory()): string[] {
  const { tokens, memory, model, kept, again, rematerialize, longestText: longest } = plan;
  const { bytes } = model;
  const { batchSize, gradientAccumulation: parts, flowDraws } = config;
  const chosen =
    rematerialize === true
      ? "all rematerialised"
      : rematerialize === false
        ? "none rematerialised"
        : `rematerialised: ${JSON.stringify(rematerialize)}`;
  const draws = flowDraws === 1 ? "" : ` × ${flowDraws} draws`;
  const micro = parts === 1 ? "" : ` in ${parts} micro-batches of ${batchSize / parts}`;
  const looked = longest ? ` (longest of ${longest.samples} looked at: ${longest.length})` : "";
  const sum = tokens.image + tokens.text + tokens.expert;
  return [
    ...stateTable(plan, config).split("\n"),
    `tokens      ${sum} per sample = ${tokens.image} image + ${tokens.text} text${looked} + ` +
      `${tokens.expert} action${draws}`,
    `steps       ${config.numTrainSteps} of ${batchSize} samples${micro}, ${scheduleText(config)}` +
      `${config.emaDecay === null ? "" : `, EMA ${config.emaDecay}`}, seed ${config.seed}, ` +
      `${operations(model.flops)} each`,
    `memory      about ${gigabytes(memory.totalBytes)} of ${gigabytes(available.free)} free, ` +
      `${gigabytes(available.total)} in all, on ${config.device}`,
    `  state       ${size(memory.stateBytes)}`,
    `  activations ${size(bytes.activations)}, ${chosen} ` +
      `(none: ${size(kept.bytes.activations)}, all: ${size(again.bytes.activations)})`,
    `  other       ${size(memory.baseBytes + bytes.constants + bytes.optimizer)} process, constants, optimizer step`,
  ];
}

/** Parameters, and bytes of what training holds for them, by group. */
function stateTable({ params, trainable, model: { state } }: Plan, { emaDecay }: RunConfig): string {
  const row = (name: string, all: number, trained: number, held: StateBytes) => [
    name,
    count(all),
    count(trained),
    ...[held.parameters, held.gradients, held.moments].map(size),
    emaDecay === null ? "–" : size(held.ema),
  ];
  const both = (key: keyof StateBytes) => state.vlm[key] + state.expert[key];
  const all = {
    parameters: both("parameters"),
    gradients: both("gradients"),
    moments: both("moments"),
    ema: both("ema"),
  };
  return table(
    ["", "parameters", "trained", "memory", "gradients", "moments", "EMA"],
    [
      row("vlm", params.vlm, trainable.vlm, state.vlm),
      ...(params.expert === 0 ? [] : [row("expert", params.expert, trainable.expert, state.expert)]),
      row("all", params.vlm + params.expert, trainable.vlm + trainable.expert, all),
    ],
  );
}

function scheduleText({ lrSchedule: s }: RunConfig): string {
  if (s.type === "constant") return `lr ${short(s.lr)}`;
  const tail =
    s.type === "cosine" ? `cosine to ${short(s.decayLr)} at ${s.decaySteps}` : `rsqrt over ${s.timescale}`;
  return `lr ${short(s.peakLr)} after ${s.warmupSteps} steps, ${tail}`;
}

const short = (lr: number): string => String(Number(lr.toPrecision(3)));
