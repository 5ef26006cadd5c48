/**
 * @file The Panda as simple solids: capsules for the links, boxes for hand and fingers. Dimensions follow the
 * kinematic parameters (panda.ts); radii are those of the real covers to a centimetre.
 */
import { boxMesh, capsuleMesh, cylinderMesh, type Mesh, movedMesh } from "./mesh.js";
import { type Material, materialIndex } from "./palette.js";
import { HAND_OPENING, type PandaFrames } from "./panda.js";
import type { Instance } from "./raster.js";
import { compose, IDENTITY, lookAlong, subtract, translation, type Vec3 } from "./rigid.js";

/** A solid fixed to joint frame 1…7, to the base (0) or to the hand (8). */
interface Part {
  readonly frame: number;
  readonly mesh: Mesh;
  readonly material: number;
}

const BASE = 0;
const HAND = 8;
const SIDES = 12;

/** A capsule from `a` to `b`. */
function rod(frame: number, material: Material, radius: number, a: Vec3, b: Vec3): Part {
  const along = subtract(b, a);
  const up: Vec3 = Math.abs(along[2]) > Math.abs(along[0]) ? [1, 0, 0] : [0, 0, 1];
  const mesh = movedMesh(capsuleMesh(radius, 0, Math.hypot(...along), SIDES, 2), lookAlong(a, along, up));
  return { frame, mesh, material: materialIndex(material) };
}

/** A joint's housing: a flat-ended cylinder along the joint's axis. */
function hub(frame: number, radius: number, half: number): Part {
  return { frame, mesh: cylinderMesh(radius, -half, half, SIDES), material: materialIndex("joint") };
}

function box(frame: number, material: Material, low: Vec3, high: Vec3): Part {
  return { frame, mesh: boxMesh(low, high), material: materialIndex(material) };
}

const PARTS: readonly Part[] = [
  box(BASE, "arm", [-0.15, -0.09, 0], [0.07, 0.09, 0.12]),
  rod(1, "arm", 0.06, [0, 0, -0.24], [0, 0, 0]),
  hub(2, 0.065, 0.085),
  rod(2, "arm", 0.06, [0, 0, 0], [0, -0.2, 0]),
  rod(3, "arm", 0.055, [0, 0, -0.12], [0.06, 0, -0.02]),
  hub(4, 0.06, 0.08),
  rod(4, "arm", 0.05, [-0.02, 0, 0], [-0.0825, 0.1, 0]),
  rod(5, "arm", 0.055, [0, 0, -0.28], [0, 0, -0.02]),
  hub(6, 0.055, 0.075),
  rod(6, "arm", 0.045, [0, 0, 0], [0.05, 0, 0]),
  { frame: 7, mesh: cylinderMesh(0.048, -0.05, 0.107, SIDES), material: materialIndex("arm") },
  box(HAND, "hand", [-0.03, -0.1, 0], [0.03, 0.1, 0.062]),
];
const FINGER = boxMesh([-0.01, 0, 0.0584], [0.01, 0.014, 0.1124]);
const FINGER_MATERIAL = materialIndex("finger");

/** The arm in the posture of `frames` with the gripper at `gripper` (0 open, 1 closed). */
export function pandaInstances({ joints, hand }: PandaFrames, gripper: number): Instance[] {
  const frames = [IDENTITY, ...joints, hand];
  const half = ((1 - gripper) * HAND_OPENING) / 2;
  const turned = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0]; // the second finger faces the first
  return [
    ...PARTS.map(({ frame, mesh, material }) => ({ mesh, pose: frames[frame]!, material })),
    { mesh: FINGER, pose: compose(hand, translation(0, half, 0)), material: FINGER_MATERIAL },
    {
      mesh: FINGER,
      pose: compose(compose(hand, translation(0, -half, 0)), turned),
      material: FINGER_MATERIAL,
    },
  ];
}
