/**
 * @file Scripted demonstrations: waypoints from the instruction, joint angles by inverse kinematics,
 * minimum-jerk motion between them, and the commands that a DROID controller would have been given.
 *
 * Actions are what openpi's `LeRobotDROIDDataConfig` expects: 7 joint velocities (rad/s, kept within ±1, the
 * range that DROID's controller accepts) and the gripper command (0 open, 1 closed). Recorded positions are
 * the integral of the recorded commands: joint_position[t+1] = joint_position[t] + actions[t, :7] / fps.
 */
import { inverseKinematics } from "./inverse-kinematics.js";
import { minimumJerk, PEAK_TO_MEAN } from "./minimum-jerk.js";
import { forwardKinematics, HAND_OPENING, NUM_JOINTS, PANDA_READY } from "./panda.js";
import { makeRandom, type Random } from "./random.js";
import { compose, invert, type Rigid, rotationZ, translation } from "./rigid.js";
import {
  type Instruction,
  MOVE_DISTANCE,
  type Scene,
  type SceneObject,
  SHAPE_SIZES,
  sampleInstructions,
  sampleScene,
} from "./scene.js";

/** Frames per second of the sample data, DROID's control rate. */
export const FPS = 15;
/** Width of an action: 7 joint velocities and the gripper command. */
export const ACTION_DIM: number = NUM_JOINTS + 1;

/** A recorded demonstration of `frames` steps. */
export interface Episode {
  readonly scene: Scene;
  readonly task: string;
  readonly frames: number;
  /** `[frames, 7]` rad. */
  readonly jointPosition: Float32Array;
  /** `[frames, 1]`, 0 open, 1 closed. */
  readonly gripperPosition: Float32Array;
  /** `[frames, 8]`: joint velocity commands (rad/s) and the gripper command. */
  readonly actions: Float32Array;
  /** Poses of the objects, per frame in the order of `scene.objects`; an object's origin is its base's centre. */
  readonly objectPoses: readonly (readonly Rigid[])[];
}

/** One leg of a demonstration: move to `q`, or, where `q` is the current posture, wait for the gripper. */
interface Leg {
  readonly q: ArrayLike<number>;
  /** Gripper command at the end of the leg. */
  readonly grip: 0 | 1;
  /** Length, unless `q` is too far away for it. */
  readonly frames: number;
  /** Frames that it begins before the leg before it ends: their velocities add up, and the arm does not stop between. */
  readonly early: number;
}

const MAX_VELOCITY = 0.98; // rad/s; DROID's commands end at 1
const HOME_TOOL = [0.5, 0, 0.36] as const; // m; above the middle of the workspace, so that every direction is a choice
const START_SPREAD = 0.05; // rad; how far the joints of a start are from home
const APPROACH = 0.12; // m above the grasp before descending
const LIFT = 0.14; // m above the grasp at the end of "pick up"
const CARRY = 0.07; // m above the grasp while moving an object sideways
const HOVER = 0.035; // m between tool and object's top at the end of "reach"
const GRIPPER_FRAMES = 7; // of opening or closing

/**
 * Frames of each leg. The same for every object: a pace that nothing in the observation tells would be an error that no
 * policy can avoid. So would rests: two moments that look the same and go on differently.
 */
const FRAMES = {
  approach: 32,
  descend: 14,
  lift: 14,
  raise: 9,
  carry: 14,
  lower: 11,
  retreat: 10,
  settle: 3,
} as const;
const BLEND = 6; // frames in which one leg goes over into the next

/**
 * Episode `index` of the data set with `seed`. Episodes 2k and 2k + 1 share a scene and differ in the
 * instruction: only the sentence tells them apart.
 */
export function sampleEpisode(seed: number, index: number): Episode {
  const random = makeRandom(seed, 2 * Math.floor(index / 2));
  const scene = sampleScene(random);
  const instructions = sampleInstructions(scene, random);
  return makeEpisode(scene, instructions[index % 2]!, makeRandom(seed, 2 * index + 1));
}

/** Demonstrate `instruction` in `scene`. */
export function makeEpisode(scene: Scene, instruction: Instruction, random: Random): Episode {
  const home = inverseKinematics(toolDown(...HOME_TOOL, 0), { start: PANDA_READY });
  const start = Array.from(home, (v) => v + random.uniform(-START_SPREAD, START_SPREAD));
  const legs = planLegs(scene.objects[instruction.target]!, instruction.verb, home);
  return record(scene, instruction, start, sampleLegs(start, legs));
}

/** The postures to pass through. They follow from the object alone: the arm's spare joint is settled from `home` on. */
function planLegs(object: SceneObject, verb: Instruction["verb"], home: ArrayLike<number>): Leg[] {
  const { height, grasp } = SHAPE_SIZES[object.shape];
  const yaw = graspYaw(object);
  const legs: Leg[] = [];
  let q = home;
  const go = (frames: number, dy: number, z: number, grip: 0 | 1, early = 0) => {
    q = inverseKinematics(toolDown(object.x, object.y + dy, z, yaw), { start: q });
    legs.push({ q, grip, frames, early });
  };
  const wait = (frames: number, grip: 0 | 1) => legs.push({ q, grip, frames, early: 0 });

  const first = verb === "reach" ? height + HOVER : grasp;
  go(FRAMES.approach, 0, first + APPROACH, 0);
  go(FRAMES.descend, 0, first, 0, BLEND);
  if (verb !== "reach") wait(GRIPPER_FRAMES, 1);
  if (verb === "pick up") go(FRAMES.lift, 0, grasp + LIFT, 1);
  if (verb === "move left" || verb === "move right") {
    const dy = verb === "move left" ? MOVE_DISTANCE : -MOVE_DISTANCE;
    go(FRAMES.raise, 0, grasp + CARRY, 1);
    go(FRAMES.carry, dy, grasp + CARRY, 1, BLEND);
    go(FRAMES.lower, dy, grasp, 1, BLEND);
    wait(GRIPPER_FRAMES, 0);
    go(FRAMES.retreat, dy, grasp + CARRY, 0);
  }
  wait(FRAMES.settle, legs.at(-1)!.grip);
  return legs;
}

/** The tool at `[x, y, z]`, pointing down, fingers closing across `yaw`. */
function toolDown(x: number, y: number, z: number, yaw: number): Rigid {
  return compose(compose(translation(x, y, z), rotationZ(yaw)), [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0]);
}

/** Round objects are grasped along the arm's radius; a cube by the pair of faces nearest to that. */
function graspYaw({ shape, x, y, yaw }: SceneObject): number {
  const radial = Math.atan2(y, x);
  if (shape !== "cube") return radial;
  return yaw + (Math.PI / 2) * Math.round((radial - yaw) / (Math.PI / 2));
}

/** Velocity and gripper plan: `velocity[t]` rad/s `[7]`, `grip[t]`. */
interface Plan {
  readonly velocity: readonly Float64Array[];
  readonly grip: readonly number[];
}

/** Minimum-jerk motion from leg to leg, none faster than MAX_VELOCITY by itself. */
function sampleLegs(start: readonly number[], legs: readonly Leg[]): Plan {
  const velocity: Float64Array[] = [];
  const grip: number[] = [];
  legs.forEach((leg, i) => {
    const from = i === 0 ? start : legs[i - 1]!.q;
    const gripFrom = i === 0 ? 0 : legs[i - 1]!.grip;
    const path = Math.max(...Array.from(leg.q, (v, k) => Math.abs(v - from[k]!)));
    const frames = Math.max(leg.frames, Math.ceil((PEAK_TO_MEAN * path * FPS) / MAX_VELOCITY));
    const first = velocity.length - leg.early;
    for (let t = 0; t < frames; t++) {
      const progress = minimumJerk((t + 1) / frames) - minimumJerk(t / frames);
      const sum = (velocity[first + t] ??= new Float64Array(NUM_JOINTS));
      for (let k = 0; k < NUM_JOINTS; k++) sum[k]! += (leg.q[k]! - from[k]!) * progress * FPS;
      grip[first + t] =
        gripFrom + (leg.grip - gripFrom) * minimumJerk((t + 1) / Math.min(frames, GRIPPER_FRAMES));
    }
  });
  return { velocity, grip };
}

/** Execute the plan as float32 commands and record what the robot would have measured. */
function record(scene: Scene, instruction: Instruction, start: readonly number[], plan: Plan): Episode {
  const frames = plan.velocity.length;
  const jointPosition = new Float32Array(frames * NUM_JOINTS);
  const gripperPosition = new Float32Array(frames);
  const actions = new Float32Array(frames * ACTION_DIM);
  const objectPoses: Rigid[][] = [];

  const { width } = SHAPE_SIZES[scene.objects[instruction.target]!.shape];
  const contact = 1 - width / HAND_OPENING; // the fingers stop here when the object is between them
  const q = Float64Array.from(start);
  let gripper = 0;
  let poses = scene.objects.map((o) => compose(translation(o.x, o.y, 0), rotationZ(o.yaw)));
  let held: Rigid | undefined; // the target in the tool's frame
  for (let t = 0; t < frames; t++) {
    const { tcp } = forwardKinematics(q);
    if (held) poses = poses.map((pose, i) => (i === instruction.target ? compose(tcp, held!) : pose));
    jointPosition.set(q, t * NUM_JOINTS);
    gripperPosition[t] = gripper;
    actions.set(plan.velocity[t]!, t * ACTION_DIM);
    actions[t * ACTION_DIM + NUM_JOINTS] = plan.grip[t]!;
    objectPoses.push(poses);

    for (let k = 0; k < NUM_JOINTS; k++) q[k]! += actions[t * ACTION_DIM + k]! / FPS;
    const command = plan.grip[t]!;
    gripper = Math.min(command, contact);
    if (command < contact) held = undefined;
    else held ??= compose(invert(tcp), poses[instruction.target]!);
  }
  return { scene, task: instruction.text, frames, jointPosition, gripperPosition, actions, objectPoses };
}
