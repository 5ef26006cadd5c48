/** @file DROID datasets in LeRobot format (openpi `training/config.py` `LeRobotDROIDDataConfig`). */
import { repackTransform, type Transform } from "@insula/transforms";

/**
 * Repack a LeRobot-format DROID sample to the keys of {@link droidInputs}. The second exterior camera and
 * the padding flags of the action chunk are left out where the dataset has none; upstream insists on the former
 * and drops the latter.
 * @throws InsulaError `transforms/missing-key` naming the key.
 */
export function droidRepack(): Transform {
  return repackTransform(
    {
      "observation/exterior_image_1_left": "exterior_image_1_left",
      "observation/exterior_image_2_left": "exterior_image_2_left",
      "observation/wrist_image_left": "wrist_image_left",
      "observation/joint_position": "joint_position",
      "observation/gripper_position": "gripper_position",
      actions: "actions",
      actions_is_pad: "actions_is_pad",
      prompt: "prompt",
    },
    { optional: ["exterior_image_2_left", "actions_is_pad"] },
  );
}
