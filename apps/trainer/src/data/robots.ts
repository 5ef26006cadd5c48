/**
 * @file What differs from robot to robot: names of dataset columns, the transforms of its policy package, the
 * cameras that are really there, names and units of its action dims.
 */
import { droidInputs, droidOutputs, droidRepack, droidState } from "@insula/droid-policy";
import type { ModelType, NdArray, Sample } from "@insula/model-types";
import type { Transform } from "@insula/transforms";
import type { Robot } from "../configs/types.js";
import { LIBERO_DIM, liberoInputs, liberoOutputs, liberoRepack, liberoState } from "./libero.js";

export interface RobotSpec {
  /** Width of the robot's actions. */
  actionDim: number;
  /** One name per action dim, with its unit where it has one. */
  actionNames: readonly string[];
  /** Dataset column of the actions. */
  actionKey: string;
  /** Dataset columns of the state: all that statistics need besides the actions. */
  stateColumns: readonly string[];
  /** Dataset columns of cameras that a sample must have. */
  cameraColumns: readonly string[];
  /** Dataset sample → the keys of `inputs`. */
  repack: Transform;
  /** → state, image, image_mask, actions, prompt. */
  inputs(modelType: ModelType): Transform;
  /** Model actions → the robot's. */
  outputs: Transform;
  /** `[stateDim]` of a repacked sample; needs no images. */
  state(sample: Sample): NdArray;
  /** Model cameras that the robot has: the others are masked out and need not be in the graph. */
  cameras(modelType: ModelType): readonly string[];
}

/** pi0_fast masks nothing: its missing camera is a black image that the model sees. */
const cameras = (modelType: ModelType): readonly string[] =>
  modelType === "pi0_fast" ? ["base_0_rgb", "base_1_rgb", "wrist_0_rgb"] : ["base_0_rgb", "left_wrist_0_rgb"];

const SPECS: Readonly<Record<Robot, () => RobotSpec>> = {
  droid: () => ({
    actionDim: 8,
    actionNames: [
      ...Array.from({ length: 7 }, (_, i) => `joint ${i + 1} (rad/s)`),
      "gripper (0 open, 1 closed)",
    ],
    actionKey: "actions",
    stateColumns: ["joint_position", "gripper_position"],
    cameraColumns: ["exterior_image_1_left", "wrist_image_left"],
    repack: droidRepack(),
    inputs: droidInputs,
    outputs: droidOutputs(),
    state: droidState,
    cameras,
  }),
  libero: () => ({
    actionDim: LIBERO_DIM,
    actionNames: [
      "x (m)",
      "y (m)",
      "z (m)",
      "roll (rad)",
      "pitch (rad)",
      "yaw (rad)",
      "gripper (-1 open, 1 closed)",
    ],
    actionKey: "actions",
    stateColumns: ["state"],
    cameraColumns: ["image", "wrist_image"],
    repack: liberoRepack(),
    inputs: liberoInputs,
    outputs: liberoOutputs(),
    state: liberoState,
    cameras,
  }),
};

/** The specification of `robot`. */
export function robotSpec(robot: Robot): RobotSpec {
  return SPECS[robot]();
}
