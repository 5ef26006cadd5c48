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
  const [kept, again] = plan.rematerialize ? [plan.other, model] : [model, plan.other];
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
    `  activations ${size(kept.bytes.activations)}, ${size(again.bytes.activations)} rematerialised ` +
      `(${plan.rematerialize ? "as this run is" : "this run is not"})`,
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
