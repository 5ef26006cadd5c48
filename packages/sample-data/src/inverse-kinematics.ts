/**
 * @file Inverse kinematics of the Panda by damped least squares (Wampler 1986; Nakamura & Hanafusa 1986) with
 * the error-proportional damping of Sugihara 2011 ("Solvability-unconcerned inverse kinematics by the
 * Levenberg–Marquardt method"): robust at singularities, quadratic near the solution. Joint limits are an
 * active set: a joint that would leave its range is fixed there and the step is solved again without it.
 */
import { InsulaError } from "@insula/model-types";
import { forwardKinematics, jacobian, NUM_JOINTS, PANDA_LIMITS, PANDA_READY, withinLimits } from "./panda.js";
import { makeRandom } from "./random.js";
import { originOf, type Rigid, rotationVector } from "./rigid.js";

/** The search. Defaults: from {@link PANDA_READY}, tolerance 1e-7, 100 steps per start, 20 restarts. */
export interface InverseKinematicsOptions {
  /** Joint angles to start from; the solution is the one nearest in the sense of least-norm steps. */
  start?: ArrayLike<number>;
  /** Largest position error of a solution, metres, and largest rotation error, rad. */
  tolerance?: number;
  /** Steps from one start. */
  maxSteps?: number;
  /** Further starts, drawn reproducibly within the limits, when the first one ends in a local minimum. */
  restarts?: number;
}

const MAX_STEP = 0.5; // rad, per joint and step: keeps the linearisation honest
const SMALLEST_DAMPING = 1e-10;

/**
 * Joint angles (7, rad, within {@link PANDA_LIMITS}) that put the tool centre point at `target`.
 * @throws InsulaError `panda/unreachable` when no start reaches the target.
 */
export function inverseKinematics(target: Rigid, options: InverseKinematicsOptions = {}): Float64Array {
  const { start = PANDA_READY, tolerance = 1e-7, maxSteps = 100, restarts = 20 } = options;
  const random = makeRandom(0, 0);
  let q = Float64Array.from(start);
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt <= restarts; attempt++) {
    if (attempt > 0)
      q = Float64Array.from(q, (_, i) => random.uniform(PANDA_LIMITS.lower[i]!, PANDA_LIMITS.upper[i]!));
    const error = descend(q, target, tolerance, maxSteps);
    if (error <= tolerance && withinLimits(q)) return q;
    best = Math.min(best, error);
  }
  const [x, y, z] = originOf(target);
  throw new InsulaError(
    "panda/unreachable",
    `inverseKinematics: no joint angles within the limits put the tool at [${x.toFixed(3)}, ${y.toFixed(3)}, ` +
      `${z.toFixed(3)}] m with that orientation (nearest error ${best.toPrecision(3)} after ${restarts + 1} starts)`,
  );
}

/** Moves `q` towards `target` in place; returns the remaining error, the larger of metres and radians. */
function descend(q: Float64Array, target: Rigid, tolerance: number, maxSteps: number): number {
  let error = Number.POSITIVE_INFINITY;
  for (let step = 0; step <= maxSteps; step++) {
    const frames = forwardKinematics(q);
    const p = originOf(frames.tcp);
    const goal = originOf(target);
    const turn = rotationVector(frames.tcp, target);
    const e = [goal[0] - p[0], goal[1] - p[1], goal[2] - p[2], ...turn]; // [6]
    error = Math.max(Math.hypot(e[0]!, e[1]!, e[2]!), Math.hypot(...turn));
    if (error <= tolerance || step === maxSteps) break;
    const damping = e.reduce((sum, v) => sum + v * v, 0) / 2 + SMALLEST_DAMPING;
    limitedStep(q, jacobian(frames), e, damping);
  }
  return error;
}

/** One damped step within the limits, in place. */
function limitedStep(q: Float64Array, j: Float64Array, e: readonly number[], damping: number): void {
  const { lower, upper } = PANDA_LIMITS;
  for (;;) {
    const dq = dampedStep(j, e, damping);
    const scale = Math.min(1, MAX_STEP / Math.max(...dq.map(Math.abs)));
    let blocked = -1;
    for (let i = 0; i < NUM_JOINTS && blocked < 0; i++) {
      const next = q[i]! + scale * dq[i]!;
      if (dq[i] !== 0 && (next < lower[i]! || next > upper[i]!)) blocked = i;
    }
    if (blocked < 0) {
      for (let i = 0; i < NUM_JOINTS; i++) q[i]! += scale * dq[i]!;
      return;
    }
    // Without its column the joint does not move; at most 7 rounds.
    const next = q[blocked]! + scale * dq[blocked]!;
    const held = Math.min(Math.max(next, lower[blocked]!), upper[blocked]!);
    for (let r = 0; r < 6; r++) j[r * NUM_JOINTS + blocked] = 0;
    q[blocked] = held;
  }
}

/** Jᵀ·(J·Jᵀ + λ·I)⁻¹·e by Cholesky factorisation; J `[6, 7]`, e `[6]` → `[7]`. */
function dampedStep(j: Float64Array, e: readonly number[], lambda: number): Float64Array {
  const a = new Float64Array(36);
  for (let r = 0; r < 6; r++)
    for (let c = 0; c <= r; c++) {
      let sum = r === c ? lambda : 0;
      for (let k = 0; k < NUM_JOINTS; k++) sum += j[r * NUM_JOINTS + k]! * j[c * NUM_JOINTS + k]!;
      a[6 * r + c] = sum;
    }
  for (let r = 0; r < 6; r++)
    for (let c = 0; c <= r; c++) {
      let sum = a[6 * r + c]!;
      for (let k = 0; k < c; k++) sum -= a[6 * r + k]! * a[6 * c + k]!;
      a[6 * r + c] = r === c ? Math.sqrt(sum) : sum / a[6 * c + c]!;
    }
  const y = new Float64Array(6);
  for (let r = 0; r < 6; r++) {
    let sum = e[r]!;
    for (let k = 0; k < r; k++) sum -= a[6 * r + k]! * y[k]!;
    y[r] = sum / a[6 * r + r]!;
  }
  for (let r = 5; r >= 0; r--) {
    let sum = y[r]!;
    for (let k = r + 1; k < 6; k++) sum -= a[6 * k + r]! * y[k]!;
    y[r] = sum / a[6 * r + r]!;
  }
  const dq = new Float64Array(NUM_JOINTS);
  for (let k = 0; k < NUM_JOINTS; k++) for (let r = 0; r < 6; r++) dq[k]! += j[r * NUM_JOINTS + k]! * y[r]!;
  return dq;
}
