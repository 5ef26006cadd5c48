/**
 * @file Franka Emika Panda: kinematic parameters, limits, forward kinematics and geometric Jacobian.
 *
 * Source of all numbers: Franka Control Interface documentation, "Robot and interface specifications"
 * (https://frankaemika.github.io/docs/control_parameters.html), tables "Denavit–Hartenberg parameters"
 * (Craig's convention) and "Limits for Panda"; the hand's tool centre point lies 0.1034 m beyond the flange,
 * turned by −45° about its axis (F_T_EE of the Franka Hand).
 */
import { compose, cross, IDENTITY, originOf, type Rigid, subtract, type Vec3 } from "./rigid.js";

/** Number of arm joints. */
export const NUM_JOINTS = 7;

/** One row of the Denavit–Hartenberg table in Craig's convention: a and d in metres, alpha in radians. */
interface DhRow {
  readonly a: number;
  readonly d: number;
  readonly alpha: number;
}

const DH: readonly DhRow[] = [
  { a: 0, d: 0.333, alpha: 0 },
  { a: 0, d: 0, alpha: -Math.PI / 2 },
  { a: 0, d: 0.316, alpha: Math.PI / 2 },
  { a: 0.0825, d: 0, alpha: Math.PI / 2 },
  { a: -0.0825, d: 0.384, alpha: -Math.PI / 2 },
  { a: 0, d: 0, alpha: Math.PI / 2 },
  { a: 0.088, d: 0, alpha: Math.PI / 2 },
];
const FLANGE = 0.107;
const TOOL = 0.1034;
const TOOL_ANGLE = -Math.PI / 4;

/** Limits of the joints 1…7: positions in rad, velocities in rad/s. */
export const PANDA_LIMITS: {
  readonly lower: readonly number[];
  readonly upper: readonly number[];
  readonly velocity: readonly number[];
} = {
  lower: [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973],
  upper: [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973],
  velocity: [2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61],
};

/** Franka's "ready" posture: hand above the table, pointing down. */
export const PANDA_READY: readonly number[] = [
  0,
  -Math.PI / 4,
  0,
  (-3 * Math.PI) / 4,
  0,
  Math.PI / 2,
  Math.PI / 4,
];

/** Opening of the Franka Hand between the fingers, in metres, when fully open. */
export const HAND_OPENING = 0.08;

/** All frames of the arm in base coordinates. */
export interface PandaFrames {
  /** Frames of the joints 1…7; joint i turns about the z axis of `joints[i]`. */
  readonly joints: readonly Rigid[];
  /** The hand's frame: at the flange, z out of the flange, fingers opening along ±y. */
  readonly hand: Rigid;
  /** The tool centre point between the fingertips, oriented as the hand. */
  readonly tcp: Rigid;
}

/** Forward kinematics of `q` (7 joint angles, rad). */
export function forwardKinematics(q: ArrayLike<number>): PandaFrames {
  const joints: Rigid[] = [];
  let frame = IDENTITY;
  for (let i = 0; i < NUM_JOINTS; i++) {
    frame = compose(frame, dhTransform(DH[i]!, q[i]!));
    joints.push(frame);
  }
  const hand = compose(frame, dhTransform({ a: 0, d: FLANGE, alpha: 0 }, TOOL_ANGLE));
  return { joints, hand, tcp: compose(hand, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, TOOL]) };
}

/** Craig's convention: RotX(alpha) · TransX(a) · RotZ(theta) · TransZ(d). */
function dhTransform({ a, d, alpha }: DhRow, theta: number): Rigid {
  const [ca, sa] = [Math.cos(alpha), Math.sin(alpha)];
  const [ct, st] = [Math.cos(theta), Math.sin(theta)];
  return [ct, -st, 0, a, st * ca, ct * ca, -sa, -d * sa, st * sa, ct * sa, ca, d * ca];
}

/**
 * Geometric Jacobian of the tool centre point, `[6, 7]` row-major: rows 0–2 the linear velocity (m/s), rows
 * 3–5 the angular velocity (rad/s), both in base coordinates, per rad/s of each joint.
 */
export function jacobian({ joints, tcp }: PandaFrames): Float64Array {
  const out = new Float64Array(6 * NUM_JOINTS);
  const p = originOf(tcp);
  for (let i = 0; i < NUM_JOINTS; i++) {
    const frame = joints[i]!;
    const axis: Vec3 = [frame[2]!, frame[6]!, frame[10]!];
    const linear = cross(axis, subtract(p, originOf(frame)));
    for (let r = 0; r < 3; r++) {
      out[r * NUM_JOINTS + i] = linear[r]!;
      out[(r + 3) * NUM_JOINTS + i] = axis[r]!;
    }
  }
  return out;
}

/** Whether every joint of `q` lies within its limits. */
export function withinLimits(q: ArrayLike<number>): boolean {
  for (let i = 0; i < NUM_JOINTS; i++)
    if (!(q[i]! >= PANDA_LIMITS.lower[i]! && q[i]! <= PANDA_LIMITS.upper[i]!)) return false;
  return true;
}
