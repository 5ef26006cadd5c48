/** @file LIBERO datasets in LeRobot format (openpi `training/config.py` `LeRobotLiberoDataConfig`). */
import { repackTransform, type Transform } from "@insula/transforms";

/**
 * Repack a LeRobot-format LIBERO sample to the keys of `liberoInputs`. The padding flags of the action chunk
 * are kept where there are any; upstream drops them.
 * @throws InsulaError `transforms/missing-key` naming the key.
 */
export function liberoRepack(): Transform {
  return repackTransform(
    {
      "observation/image": "image",
      "observation/wrist_image": "wrist_image",
      "observation/state": "state",
      actions: "actions",
      actions_is_pad: "actions_is_pad",
      prompt: "prompt",
    },
    { optional: ["actions_is_pad"] },
  );
}
