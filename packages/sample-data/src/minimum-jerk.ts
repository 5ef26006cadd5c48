/**
 * @file Minimum-jerk motion between two points of rest (Flash & Hogan 1985): the fifth-order polynomial
 * 10τ³ − 15τ⁴ + 6τ⁵, whose velocity peaks at 1.875 times the mean.
 */

/** Peak velocity over mean velocity of a minimum-jerk motion. */
export const PEAK_TO_MEAN = 1.875;

/** Progress in [0, 1] at `tau` in [0, 1]. */
export function minimumJerk(tau: number): number {
  const t = Math.min(Math.max(tau, 0), 1);
  return t * t * t * (10 + t * (-15 + 6 * t));
}
