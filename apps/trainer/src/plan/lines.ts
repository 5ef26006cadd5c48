/** @file The plan as lines for the console. */
import type { RunConfig } from "../configs/types.js";
import { type Available, availableMemory } from "./available.js";
import type { Plan } from "./make-plan.js";
import { count, gigabytes, operations, bytes as size } from "./units.js";

/** One line per subject. */
export function planLines(plan: Plan, config: RunConfig, available: Available = availableMemory()): string[] {
  const { params, trainable, tokens, memory, model } = plan;
  const total = params.vlm + params.expert;
  const trained = trainable.vlm + trainable.expert;
  const sum = tokens.image + tokens.text + tokens.expert;
  const { bytes } = model;
  const parts = (
    [
      ["parameters", bytes.parameters],
      ["gradients", bytes.gradients],
      ["moments", bytes.moments],
      ["EMA", bytes.ema],
    ] as const
  ).flatMap(([name, n]) => (n > 0 ? [`${size(n)} ${name}`] : []));
  const { kept, again, rematerialize } = plan;
  const chosen =
    rematerialize === true
      ? "all rematerialised"
      : rematerialize === false
        ? "none rematerialised"
        : `rematerialised: ${JSON.stringify(rematerialize)}`;
  return [
    `parameters  ${count(total)} = ${count(params.vlm)} vlm + ${count(params.expert)} expert, ` +
      `${trained === total ? "all trained" : `${count(trained)} trained`}`,
    `tokens      ${sum} per sample = ${tokens.image} image + ${tokens.text} text + ${tokens.expert} action`,
    `steps       ${config.numTrainSteps} of ${config.batchSize} samples, ${scheduleText(config)}` +
      `${config.emaDecay === null ? "" : `, EMA ${config.emaDecay}`}, seed ${config.seed}, ` +
      `${operations(model.flops)} each`,
    `memory      about ${gigabytes(memory.totalBytes)} of ${gigabytes(available.free)} free, ` +
      `${gigabytes(available.total)} in all`,
    `  state       ${size(memory.stateBytes)} = ${parts.join(" + ")}`,
    `  activations ${size(bytes.activations)}, ${chosen} ` +
      `(none: ${size(kept.bytes.activations)}, all: ${size(again.bytes.activations)})`,
    `  other       ${size(memory.baseBytes + bytes.constants + bytes.optimizer)} process, constants, optimizer step`,
  ];
}

function scheduleText({ lrSchedule: s }: RunConfig): string {
  if (s.type === "constant") return `lr ${short(s.lr)}`;
  const tail =
    s.type === "cosine" ? `cosine to ${short(s.decayLr)} at ${s.decaySteps}` : `rsqrt over ${s.timescale}`;
  return `lr ${short(s.peakLr)} after ${s.warmupSteps} steps, ${tail}`;
}

const short = (lr: number): string => String(Number(lr.toPrecision(3)));
