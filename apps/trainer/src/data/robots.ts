/**
 * @file What differs from robot to robot: names of dataset columns, the transforms of its policy package, the
 * cameras that are really there, names and units of its action dims.
 */
import {
  ALOHA_DIM,
  type AlohaCamera,
  alohaActionsToModel,
  alohaInputs,
  alohaOutputs,
  alohaRepack,
  alohaStateToModel,
} from "@insula/aloha-policy";
import { droidInputs, droidOutputs, droidRepack, droidState } from "@insula/droid-policy";
import { LIBERO_DIM, liberoInputs, liberoOutputs, liberoRepack, liberoState } from "@insula/libero-policy";
import { type ModelType, type NdArray, type Sample, sizeOf } from "@insula/model-types";
import type { Transform } from "@insula/transforms";
import type { Robot } from "../configs/types.js";

export interface RobotSpec {
  /** Width of the robot's actions. */
  actionDim: number;
  /** One name per action dim, with its unit where it has one. */
  actionNames: readonly string[];
  /** Dataset column of the actions. */
  actionKey: string;
  /** Action dims that are displacements per step, whose size depends on the frame rate. */
  perStepActions: readonly number[];
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
  /** `[stateDim]`, as `inputs` gives it, of a repacked sample; needs no images. */
  state(sample: Sample): NdArray;
  /** `state` is the values of `stateColumns` one behind the other, nothing converted. */
  joinedState: boolean;
  /** The key of a repacked sample that holds one of `stateColumns`. */
  stateKey(column: string): string;
  /** Recorded actions `[horizon, actionDim]` as `inputs` gives them. */
  modelActions(actions: NdArray): NdArray;
  /** Model cameras that the robot has: the others are masked out and need not be in the graph. */
  cameras(modelType: ModelType): readonly string[];
}

/** pi0_fast masks nothing: its missing camera is a black image that the model sees. */
const droidCameras = (modelType: ModelType): readonly string[] =>
  modelType === "pi0_fast" ? ["base_0_rgb", "base_1_rgb", "wrist_0_rgb"] : ["base_0_rgb", "left_wrist_0_rgb"];

/** As DROID's, but every model type has pi0's camera names. */
const liberoCameras = (modelType: ModelType): readonly string[] => [
  "base_0_rgb",
  "left_wrist_0_rgb",
  ...(modelType === "pi0_fast" ? ["right_wrist_0_rgb"] : []),
];

const asRecorded = {
  perStepActions: [],
  joinedState: true,
  stateKey: (column: string) => `observation/${column}`,
  modelActions: (actions: NdArray) => actions,
};

const SPECS: Readonly<Record<Robot, () => RobotSpec>> = {
  droid: () => ({
    ...asRecorded,
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
    cameras: droidCameras,
  }),
  libero: () => ({
    ...asRecorded,
    perStepActions: [0, 1, 2, 3, 4, 5],
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
    cameras: liberoCameras,
  }),
  // A station with a camera above and one at each wrist.
  aloha: () =>
    aloha({
      cam_high: "observation.images.cam_high",
      cam_left_wrist: "observation.images.cam_left_wrist",
      cam_right_wrist: "observation.images.cam_right_wrist",
    }),
  // The simulator's one camera.
  aloha_sim: () => aloha({ cam_high: "observation.images.top" }),
};

/** ALOHA with these cameras, as dataset columns. */
function aloha(columns: Readonly<Partial<Record<AlohaCamera, string>>>): RobotSpec {
  const arm = (side: string) => [
    ...Array.from({ length: 6 }, (_, i) => `${side} joint ${i + 1} (rad)`),
    `${side} gripper (0 closed, 1 open)`,
  ];
  const present = [
    "base_0_rgb",
    ...(columns.cam_left_wrist ? ["left_wrist_0_rgb"] : []),
    ...(columns.cam_right_wrist ? ["right_wrist_0_rgb"] : []),
  ];
  return {
    actionDim: ALOHA_DIM,
    actionNames: [...arm("left"), ...arm("right")],
    actionKey: "action",
    perStepActions: [],
    stateColumns: ["observation.state"],
    cameraColumns: Object.values(columns),
    repack: alohaRepack(columns),
    inputs: () => alohaInputs(),
    outputs: alohaOutputs(),
    state: (sample) => alohaStateToModel(sample["state"] as NdArray),
    joinedState: false,
    stateKey: () => "state",
    modelActions: alohaActionsToModel,
    cameras: () => present,
  };
}

/**
 * The states `[n, stateDim]` of many frames: what `spec.state` gives for each, from the rows `[n, …]` of
 * `spec.stateColumns`.
 */
export function statesOf(spec: RobotSpec, columns: readonly NdArray[]): NdArray {
  const n = columns[0]!.shape[0]!;
  const widths = columns.map(({ shape }) => sizeOf(shape.slice(1)));
  const row = (i: number): NdArray =>
    spec.state(
      Object.fromEntries(
        columns.map(({ data, shape }, c) => [
          spec.stateKey(spec.stateColumns[c]!),
          { data: data.subarray(i * widths[c]!, (i + 1) * widths[c]!), shape: shape.slice(1) },
        ]),
      ),
    );
  const dim = widths.reduce((a, b) => a + b, 0);
  const single = columns.every(({ data }) => data instanceof Float32Array);
  const data = single && spec.joinedState ? new Float32Array(n * dim) : new Float64Array(n * dim);
  if (!spec.joinedState) {
    for (let i = 0; i < n; i++) data.set(row(i).data as Float64Array, i * dim);
    return { data, shape: [n, dim] };
  }
  if (n > 0) row(0); // Says what is wrong with the columns' widths.
  let offset = 0;
  for (const [c, { data: from }] of columns.entries()) {
    const width = widths[c]!;
    for (let i = 0; i < n; i++) {
      for (let d = 0; d < width; d++) data[i * dim + offset + d] = Number(from[i * width + d]);
    }
    offset += width;
  }
  return { data, shape: [n, dim] };
}

/** The specification of `robot`. */
export function robotSpec(robot: Robot): RobotSpec {
  return SPECS[robot]();
}
