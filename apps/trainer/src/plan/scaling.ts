/**
 * @file What fits which device, and how long a step would take: tables over the options that decide it, all from
 * the graphs themselves. Times are predictions from a stated efficiency, never measurements.
 */
import { type Choice, type MemoryPlan, planMemory } from "@insula/ki-model";
import { runArtifactOptions } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import { memoryNeed } from "./make-plan.js";

/** One way to train and what it needs. */
export interface Alternative extends Choice {
  /** Bytes of the process or device. */
  need: number;
  plan: MemoryPlan;
}

/** Batches that a table lists. */
export const TABLE_BATCHES = [1, 2, 4, 8, 16, 32] as const;

/**
 * All combinations of batch size, rematerialisation and average; the batches of the table in one piece, others in the
 * configuration's micro-batches.
 */
export function tabulate(config: RunConfig, batchSizes: readonly number[] = TABLE_BATCHES): Alternative[] {
  const gradientAccumulation = batchSizes === TABLE_BATCHES ? 1 : config.gradientAccumulation;
  const options = { ...runArtifactOptions(config), gradientAccumulation };
  const rows: Alternative[] = [];
  for (const batchSize of batchSizes) {
    for (const rematerialize of [false, true]) {
      const plan = planMemory(config.model, { ...options, batchSize, rematerialize });
      const need = memoryNeed(plan).totalBytes;
      if (config.emaDecay !== null)
        rows.push({
          batchSize,
          gradientAccumulation,
          rematerialize,
          emaDecay: config.emaDecay,
          need,
          plan,
        });
      const less = need - plan.bytes.ema;
      rows.push({ batchSize, gradientAccumulation, rematerialize, emaDecay: null, need: less, plan });
    }
  }
  return rows;
}

/** A processor: its best matrix throughput, its memory bandwidth, and the share of both that is assumed. */
export interface Processor {
  name: string;
  /** Bytes. */
  memory: number;
  /** FLOP/s of dense products by the type that is computed in; float32 ones as TF32. */
  flops: Readonly<Record<"float32" | "bfloat16", number>>;
  /** Bytes per second. */
  bandwidth: number;
  /** Assumed share of `flops` in products and of `bandwidth` elsewhere. */
  efficiency: number;
}

const HOPPER = { float32: 495e12, bfloat16: 989e12 };

/** Vendors' figures for dense TF32 and bfloat16 products (accumulated in float32) and memory bandwidth. */
export const PROCESSORS: readonly Processor[] = [
  {
    name: "RTX 4090, 24 GB",
    memory: 24e9,
    flops: { float32: 82.6e12, bfloat16: 165e12 },
    bandwidth: 1.01e12,
    efficiency: 0.4,
  },
  { name: "H100 SXM, 80 GB", memory: 80e9, flops: HOPPER, bandwidth: 3.35e12, efficiency: 0.4 },
  { name: "H200 SXM, 141 GB", memory: 141e9, flops: HOPPER, bandwidth: 4.8e12, efficiency: 0.4 },
];

/** Seconds per step: products at the assumed share of the peak, everything else at that of the bandwidth. */
export function predictedSeconds(
  { matmulFlops, traffic }: MemoryPlan,
  { flops, bandwidth, efficiency }: Processor,
  computeType: "float32" | "bfloat16",
): number {
  return matmulFlops / (flops[computeType] * efficiency) + traffic / (bandwidth * efficiency);
}
