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
  /** Least number of frames. */
  readonly least: number;
}

const MAX_VELOCITY = 0.98; // rad/s; DROID's commands end at 1
const APPROACH = 0.12; // m above the grasp before descending
const LIFT = 0.14; // m above the grasp at the end of "pick up"
const CARRY = 0.07; // m above the grasp while moving an object sideways
const HOVER = 0.035; // m between tool and object's top at the end of "reach"
const GRIPPER_FRAMES = 7; // of opening or closing
const SETTLE = 3; // frames of rest at the end
/** Shortest and longest length aimed at; a far object may need more, for the velocity's sake. */
const FRAMES: Record<Instruction["verb"], readonly [number, number]> = {
  reach: [60, 70],
  "pick up": [66, 82],
  "move left": [84, 90],
  "move right": [84, 90],
};

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
  const start = PANDA_READY.map((v) => v + random.uniform(-0.06, 0.06));
  const legs = planLegs(scene.objects[instruction.target]!, instruction.verb, start);
  const wanted = random.integer(...FRAMES[instruction.verb]);
  const plan = sampleLegs(start, legs, wanted);
  return record(scene, instruction, start, plan);
}

/** The postures to pass through. */
function planLegs(object: SceneObject, verb: Instruction["verb"], start: readonly number[]): Leg[] {
  const { height, grasp } = SHAPE_SIZES[object.shape];
  const yaw = graspYaw(object);
  const legs: Leg[] = [];
  let q: ArrayLike<number> = start;
  const go = (dy: number, z: number, grip: 0 | 1) => {
    q = inverseKinematics(toolDown(object.x, object.y + dy, z, yaw), { start: q });
    legs.push({ q, grip, least: 8 });
  };
  const wait = (grip: 0 | 1, least: number) => legs.push({ q, grip, least });

  go(0, (verb === "reach" ? height + HOVER : grasp) + APPROACH, 0);
  if (verb === "reach") {
    go(0, height + HOVER, 0);
  } else {
    go(0, grasp, 0);
    wait(1, GRIPPER_FRAMES);
    if (verb === "pick up") {
      go(0, grasp + LIFT, 1);
    } else {
      const dy = verb === "move left" ? MOVE_DISTANCE : -MOVE_DISTANCE;
      go(0, grasp + CARRY, 1);
      go(dy, grasp + CARRY, 1);
      go(dy, grasp, 1);
      wait(0, GRIPPER_FRAMES);
      go(dy, grasp + CARRY, 0);
    }
  }
  const last = legs.at(-1)!;
  wait(last.grip, SETTLE);
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

/** Share `wanted` frames among the legs by their longest joint path, none faster than MAX_VELOCITY. */
function sampleLegs(start: readonly number[], legs: readonly Leg[], wanted: number): Plan {
  const paths = legs.map((leg, i) => {
    const from = i === 0 ? start : legs[i - 1]!.q;
    return Math.max(...Array.from(leg.q, (v, k) => Math.abs(v - from[k]!)));
  });
  const fixed = legs.map((leg, i) =>
    paths[i] === 0
      ? leg.least
      : Math.max(leg.least, Math.ceil((PEAK_TO_MEAN * paths[i]! * FPS) / MAX_VELOCITY)),
  );
  const spare = Math.max(0, wanted - fixed.reduce((a, b) => a + b, 0));
  const total = paths.reduce((a, b) => a + b, 0);
  let path = 0;
  let given = 0;
  const velocity: Float64Array[] = [];
  const grip: number[] = [];
  legs.forEach((leg, i) => {
    path += paths[i]!;
    const extra = Math.round((spare * path) / total) - given; // cumulative rounding: the extras add up to spare
    given += extra;
    const frames = fixed[i]! + extra;
    const from = i === 0 ? start : legs[i - 1]!.q;
    const gripFrom = i === 0 ? 0 : legs[i - 1]!.grip;
    for (let t = 0; t < frames; t++) {
      const progress = minimumJerk((t + 1) / frames) - minimumJerk(t / frames);
      velocity.push(Float64Array.from(leg.q, (v, k) => (v - from[k]!) * progress * FPS));
      grip.push(gripFrom + (leg.grip - gripFrom) * minimumJerk((t + 1) / Math.min(frames, GRIPPER_FRAMES)));
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
