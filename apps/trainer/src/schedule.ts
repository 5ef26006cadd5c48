/**
 * @file Learning-rate schedules as pure functions of the step (openpi `training/optimizer.py`, which wraps
 * optax's `warmup_cosine_decay_schedule`). The first update uses the rate of step 0.
 */

/** Linear warm-up to `peakLr`, cosine to `decayLr` at `decaySteps` (counted from step 0), constant after. */
export interface CosineSchedule {
  type: "cosine";
  warmupSteps: number;
  peakLr: number;
  decaySteps: number;
  decayLr: number;
}

/** Linear warm-up to `peakLr`, then `peakLr / √((timescale + s) / timescale)`, s counted from the warm-up's end. */
export interface RsqrtSchedule {
  type: "rsqrt";
  warmupSteps: number;
  peakLr: number;
  timescale: number;
}

export interface ConstantSchedule {
  type: "constant";
  lr: number;
}

export type LrSchedule = CosineSchedule | RsqrtSchedule | ConstantSchedule;

/**
 * The learning rate of the update that follows `step` completed updates.
 * Warm-up starts at `peakLr / (warmupSteps + 1)`, never at 0, so that the first update moves.
 */
export function learningRate(schedule: LrSchedule, step: number): number {
  if (schedule.type === "constant") return schedule.lr;
  const { warmupSteps, peakLr } = schedule;
  if (step < warmupSteps) {
    const start = peakLr / (warmupSteps + 1);
    return start + ((peakLr - start) * step) / warmupSteps;
  }
  const since = step - warmupSteps;
  if (schedule.type === "rsqrt") return peakLr / Math.sqrt((schedule.timescale + since) / schedule.timescale);
  const length = schedule.decaySteps - warmupSteps;
  const progress = length > 0 ? Math.min(since / length, 1) : 1;
  return schedule.decayLr + (peakLr - schedule.decayLr) * 0.5 * (1 + Math.cos(Math.PI * progress));
}
