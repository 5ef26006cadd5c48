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
 * All combinations of batch size, rematerialisation and average.
 * @param buckets count the sessions of all text lengths (what a run opens), or the longest alone
 */
export function tabulate(
  config: RunConfig,
  { batchSizes = TABLE_BATCHES, buckets = true }: { batchSizes?: readonly number[]; buckets?: boolean } = {},
): Alternative[] {
  const options = { ...runArtifactOptions(config), ...(buckets ? {} : { tokenBuckets: [] }) };
  const rows: Alternative[] = [];
  for (const batchSize of batchSizes) {
    for (const rematerialize of [false, true]) {
      const plan = planMemory(config.model, { ...options, batchSize, rematerialize });
      const need = memoryNeed(plan).totalBytes;
      if (config.emaDecay !== null)
        rows.push({ batchSize, rematerialize, emaDecay: config.emaDecay, need, plan });
      rows.push({ batchSize, rematerialize, emaDecay: null, need: need - plan.bytes.ema, plan });
    }
  }
  return rows;
}

/** A processor: its best matrix throughput, its memory bandwidth, and the share of both that is assumed. */
export interface Processor {
  name: string;
  /** Bytes. */
  memory: number;
  /** FLOP/s of dense float32 products as the processor does them (TF32 on GPUs). */
  flops: number;
  /** Bytes per second. */
  bandwidth: number;
  /** Assumed share of `flops` in products and of `bandwidth` elsewhere. */
  efficiency: number;
}

/** Vendors' figures for dense TF32 products and memory bandwidth. */
export const PROCESSORS: readonly Processor[] = [
  { name: "RTX 4090, 24 GB", memory: 24e9, flops: 82.6e12, bandwidth: 1.01e12, efficiency: 0.4 },
  { name: "H100 SXM, 80 GB", memory: 80e9, flops: 495e12, bandwidth: 3.35e12, efficiency: 0.4 },
  { name: "H200 SXM, 141 GB", memory: 141e9, flops: 495e12, bandwidth: 4.8e12, efficiency: 0.4 },
];

/** Seconds per step: products at the assumed share of the peak, everything else at that of the bandwidth. */
export function predictedSeconds({ matmulFlops, traffic }: MemoryPlan, processor: Processor): number {
  const { flops, bandwidth, efficiency } = processor;
  return matmulFlops / (flops * efficiency) + traffic / (bandwidth * efficiency);
}
