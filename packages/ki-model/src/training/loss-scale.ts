/**
 * @file The dynamic loss scale of float16 training (arXiv:1710.03740, section 3.2; the constants are those that NVIDIA
 * Apex and PyTorch's GradScaler use).
 */

/** Where the scale stands: part of what a resumed run needs. */
export interface LossScale {
  /** What the loss is multiplied by, a power of two. */
  scale: number;
  /** Steps without overflow since it last changed. */
  goodSteps: number;
}

export const INITIAL_LOSS_SCALE: LossScale = { scale: 2 ** 15, goodSteps: 0 };

/** Good steps before a larger scale is tried. */
const GROWTH_INTERVAL = 2000;
const LARGEST = 2 ** 24;

/** The scale after a step: halved by an overflow (not below 1), doubled after 2000 good steps. */
export function nextLossScale({ scale, goodSteps }: LossScale, overflow: boolean): LossScale {
  if (overflow) return { scale: Math.max(scale / 2, 1), goodSteps: 0 };
  if (goodSteps + 1 < GROWTH_INTERVAL) return { scale, goodSteps: goodSteps + 1 };
  return { scale: Math.min(scale * 2, LARGEST), goodSteps: 0 };
}
